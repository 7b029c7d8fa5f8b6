"""Networks on chips of other vendors: one file here is one line in ``NOCS``."""

NOCS = {"wormhole": "Tenstorrent Wormhole, two networks of 10 x 12"}
