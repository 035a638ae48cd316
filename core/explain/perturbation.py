"""Explanations that change the image and watch the score."""
