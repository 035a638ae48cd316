"""Tables of numbers and categories: a small network for one, and simple models beside it that are easy to read."""
