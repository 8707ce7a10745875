"""Many files, one after the other, skipping what is done."""
