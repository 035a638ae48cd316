"""Where the architectures and weights of models come from."""
