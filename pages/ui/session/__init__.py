"""A browser session: its state, its address, its parameters and its jobs."""
