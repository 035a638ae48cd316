"""Figures as plotly objects and as pictures, built without a browser."""
