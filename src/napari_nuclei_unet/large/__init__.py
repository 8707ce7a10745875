"""Images larger than memory: opened lazily, segmented block by block, kept in a store."""
