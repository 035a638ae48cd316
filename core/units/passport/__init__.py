"""One unit of a layer: clarity of its patches, effect of its ablation, facts in a sentence, marks of an audit."""
