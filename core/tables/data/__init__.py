"""Tables to look at: those that are bundled or made here, and the user's own CSV files."""
