"""Rules that describe a model of a table: from a tree on its predictions, from its layers, and from its boundary."""
