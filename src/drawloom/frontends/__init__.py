"""Models in other people's formats become graphs."""
