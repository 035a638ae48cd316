"""Explanations that change the rule by which operations hand the score back to the image."""
