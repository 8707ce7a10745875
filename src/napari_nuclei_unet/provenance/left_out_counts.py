"""How much was found beside the nuclei, and left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOutCounts:
    """How much was separated and left out as no nucleus, by the first reason that is true.

    Attributes
    ----------
    uncertain : int
        The network is not sure enough of them.
    small : int
        Smaller than the smallest area.
    fragments : int
        Micronuclei and fragments.
    """

    uncertain: int = 0
    small: int = 0
    fragments: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.uncertain + self.small + self.fragments

    def describe(self) -> str:
        """Describe them in words, such as "12 left out: 9 doubtful, 3 too small"."""
        counts = {
            "doubtful": self.uncertain,
            "too small": self.small,
            _fragments_word(self.fragments): self.fragments,
        }
        parts = [f"{count:,} {word}" for word, count in counts.items() if count]
        return f"{self.total:,} left out" + (f": {', '.join(parts)}" if parts else "")

    def __add__(self, other: LeftOutCounts) -> LeftOutCounts:
        return LeftOutCounts(
            self.uncertain + other.uncertain,
            self.small + other.small,
            self.fragments + other.fragments,
        )


def _fragments_word(count: int) -> str:
    return "micronucleus or fragment" if count == 1 else "micronuclei or fragments"
