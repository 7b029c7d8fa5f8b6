"""The machine as data; no model."""
