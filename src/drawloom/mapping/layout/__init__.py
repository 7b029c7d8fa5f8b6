"""Where values lie: in DRAM, in the scratchpads, and for how long."""
