"""One registry of models: bundled, torchvision's, and the user's own weights."""
