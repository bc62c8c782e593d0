"""Easy negatives taken out, with a certificate of what that does to the ranking of systems."""
