"""Hard negatives: rules over candidates, identity, hidden positives, judges, and the share that is false."""
