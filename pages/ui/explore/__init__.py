"""Parts of the pages that explore one image."""
