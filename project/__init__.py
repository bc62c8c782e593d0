"""Label projection: carry spans from a source text to its translation."""
