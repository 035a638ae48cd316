"""From explanations to rules: patches, transactions, itemsets, rules and averages."""
