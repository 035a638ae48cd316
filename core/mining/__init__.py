"""From heat-maps to patches, transactions, itemsets and rules (Meynen et al. 2023)."""
