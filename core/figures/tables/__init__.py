"""Charts of tables: importances of features, trees, the explanation of one row, rules."""
