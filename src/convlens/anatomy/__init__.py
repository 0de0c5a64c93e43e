"""Numbers read off a graph: shapes, parameters, MACs, memory, receptive fields."""
