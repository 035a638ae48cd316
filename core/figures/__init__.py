"""Figures as plotly objects and as images, rendered without a browser."""
