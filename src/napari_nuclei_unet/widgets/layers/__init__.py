"""Conversion between napari layers and arrays."""
