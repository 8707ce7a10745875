"""The dock 'Review nuclei'."""
