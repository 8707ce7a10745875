"""Planes larger than memory, block by block, here or on a cluster."""
