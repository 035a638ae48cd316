"""Analyses of single units and groups of them."""
