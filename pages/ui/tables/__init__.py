"""Parts of the page about tables."""
