"""Programs run for their values: no time, no graph, only bytes."""
