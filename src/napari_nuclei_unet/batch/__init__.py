"""Many files, small ones side by side, skipping what is done."""
