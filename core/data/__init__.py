"""Images to explain: synthetic flowers with exact masks, and folders of images."""
