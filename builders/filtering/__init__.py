"""The builds that filter, split, and look for contamination; thresholds tried and calibrated."""
