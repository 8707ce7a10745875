"""The record of a result, and how to make it again."""
