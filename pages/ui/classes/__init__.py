"""Parts of the page about one class of a study: its heading, one section each."""
