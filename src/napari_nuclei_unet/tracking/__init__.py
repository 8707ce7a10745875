"""Slices stitched to volumes, frames linked to tracks."""
