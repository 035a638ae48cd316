"""A network from inside: hooks, inspection, throughput, incremental inference."""
