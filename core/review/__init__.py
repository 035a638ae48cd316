"""Review of a model's failures: predictions of a folder or study, their confusions, queues of cases, and verdicts."""
