"""The record of a result, how to reproduce it, and the project file."""
