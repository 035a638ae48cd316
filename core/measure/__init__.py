"""Measures of explanations: numbers and curves that say how far a map can be trusted."""
