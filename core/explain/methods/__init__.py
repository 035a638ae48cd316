"""The explanation methods: one module per family."""
