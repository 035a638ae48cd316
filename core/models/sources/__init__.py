"""Sources of models: one module each."""
