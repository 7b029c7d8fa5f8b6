"""The chips of systolic arrays that come with drawloom: one file here is one line in ``ASICS``."""

ASICS = {
    "tpu_v4": "Google TPU v4",
    "tpu_v5e": "Google TPU v5e",
    "tpu_v6e": "Google TPU v6e",
}
