"""Looking into a network: hooks and operations, what it is made of, how fast it runs, incremental inference."""
