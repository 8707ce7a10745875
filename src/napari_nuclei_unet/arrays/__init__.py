"""Axes, planes, tiles and lazy views of arrays."""
