"""The dock "Train nuclei model"."""
