"""What one browser session has: its state, its address, its parameters and its jobs."""
