"""Counts in sentences: "1 nucleus", "1,200 nuclei"."""

from __future__ import annotations

PLURALS = {"nucleus": "nuclei"}


def choose_noun(count: int, noun: str) -> str:
    """Return a noun in the singular or plural, as a count needs it."""
    return noun if count == 1 else PLURALS.get(noun, f"{noun}s")


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {choose_noun(count, noun)}"
