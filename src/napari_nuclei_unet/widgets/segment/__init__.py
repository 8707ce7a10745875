"""The dock 'Segment nuclei'."""
