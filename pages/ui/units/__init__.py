"""Parts of the pages about units: the layer they are of, and the stored analyses of its model."""
