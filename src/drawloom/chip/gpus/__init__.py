"""The GPUs that come with drawloom: one file here is one line in ``GPUS``."""

GPUS = {
    "a100_pcie": "NVIDIA A100 PCIe, 80 GB",
    "a100_sxm": "NVIDIA A100 SXM4, 80 GB",
    "h100_sxm": "NVIDIA H100 SXM5, 80 GB",
    "h200_sxm": "NVIDIA H200 SXM, 141 GB",
}
