"""Scores of a segmentation, and kinds of errors."""
