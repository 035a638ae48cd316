"""Data sets: synthetic flowers with exact masks, and folders of images."""
