"""What if: the current image, or what the network makes of it, is changed, and the answer changes in place."""
