"""Parts of the page about one unit, each a tile or a section of it."""
