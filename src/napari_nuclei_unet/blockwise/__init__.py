"""Planes larger than memory."""
