"""Two models on the same images: where they disagree, and blind ratings of their explanations."""
