"""The commands that list what there is: models and methods, and what lies on disk."""
