"""The dock "Many images"."""
