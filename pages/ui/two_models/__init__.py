"""Parts of the page about two models on the same images."""
