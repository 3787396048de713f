"""Says how large a sum is."""
