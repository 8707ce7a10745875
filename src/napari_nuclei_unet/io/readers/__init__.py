"""Readers of image files, one module for each kind."""
