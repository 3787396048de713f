"""Does what takes longer."""
