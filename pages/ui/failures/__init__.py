"""Parts of the page about failures."""
