"""Widgets: forms, grids, galleries, graphs, downloads and texts as pages show them."""
