"""Parts of the page about bias: the mean maps, the region, what filling it changes, groups, exports."""
