"""Parts of what if: the image or the network is changed, and the answer changes in place."""
