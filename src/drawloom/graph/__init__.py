"""The model as data; no hardware."""
