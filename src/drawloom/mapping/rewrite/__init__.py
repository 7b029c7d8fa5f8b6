"""Rewriting a graph until every node is something a piece can do."""
