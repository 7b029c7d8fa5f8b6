"""The comparisons: one module here is one line in ``COMPARISONS``, and has ``compare()``."""

COMPARISONS = {
    "gemm": "GEMM on one H200",
}
