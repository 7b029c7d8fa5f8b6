"""Claims that come with drawloom: one file here is one line in ``CLAIMS``."""

CLAIMS: tuple[str, ...] = (
    "mlu370_peak",
    "mlu370_twice_mlu270",
    "r200_100b",
    "r200_over_gpu",
    "tx81_energy",
    "tx81_cost",
    "tx81_deepseek",
    "tx81_links",
)
