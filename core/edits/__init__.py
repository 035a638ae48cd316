"""Edits of an image and of filters, what they change, and the fewest that change a prediction."""
