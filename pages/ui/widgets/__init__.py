"""Widgets: forms, grids, galleries, graphs, downloads and texts."""
