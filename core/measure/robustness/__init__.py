"""Measures of methods under change: random weights, noise, other seeds."""
