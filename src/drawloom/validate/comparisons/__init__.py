"""The comparisons: one module here is one line in ``COMPARISONS``, and has ``compare()``."""

COMPARISONS = {
    "gemm": "GEMM on one H200",
    "attention": "attention on one H200, prompts and single tokens",
    "all_reduce": "all-reduce within a node of A100, H100, H200",
    "layers": "parts of a layer on A100 and H100, nothing fitted on them",
    "gpt3": "a layer of GPT-3 on four A100, part by part, nothing fitted on it",
    "mlperf": "results of MLPerf v5.1 on H100 and H200, nothing fitted on them",
    "noc": "transfers over the networks of Tenstorrent Wormhole",
    "tx81": "single commands on a TX81 board",
    "wormhole": "products on one Tenstorrent Wormhole, compiled for its tiles, nothing fitted on them",
    "blackhole": "products on one Tenstorrent Blackhole, compiled for its tiles, nothing fitted on them",
    "serving": "served language models on H100 and H200",
}
