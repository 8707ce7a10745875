"""The dock "Nuclei table"."""
