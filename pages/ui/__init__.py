"""What pages are made of: the session's state, forms, long work, the frame, and parts that run in the browser."""
