"""The comparisons: one module here is one line in ``COMPARISONS``, and has ``compare()``."""

COMPARISONS: dict[str, str] = {}
