"""The dock "Review nuclei"."""
