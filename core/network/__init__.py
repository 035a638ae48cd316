"""Access to the inside of a network: hooks, inspection, throughput, incremental inference."""
