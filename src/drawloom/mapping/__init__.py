"""Graph and chip to Mapping: partition, tile, place, route, allocate."""
