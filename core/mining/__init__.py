"""From explanations to rules: patches, transactions, itemsets, rules, averages and the ablation that checks them."""
