"""The record of a result, and how to reproduce it."""
