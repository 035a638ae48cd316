"""Charts and figures of the units of a layer."""
