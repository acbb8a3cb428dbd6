"""What was said, of what the sender had the echo, and whether the history has just that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Ledger"]

SHOWN: Final = 60
"""Characters of a text in a complaint."""


@dataclass(slots=True)
class Ledger:
    """One conversation. Owned by one thread. All texts in it are different."""

    name: str
    _said: dict[str, tuple[str, int]] = field(default_factory=dict)  # by text: who, the how many-th
    _acknowledged: set[str] = field(default_factory=set)

    def say(self, sender: str, text: str) -> None:
        """Take note that ``sender`` says ``text``, after all that they have said before."""
        self._said[text] = sender, len(self._said)

    def acknowledge(self, sender: str, text: str) -> bool:
        """Take note of the echo. Return whether it is of something that ``sender`` has said."""
        known = self._said.get(text, ("", 0))[0] == sender
        if known:
            self._acknowledged.add(text)
        return known

    @property
    def said(self) -> int:
        """How many were said."""
        return len(self._said)

    @property
    def acknowledged(self) -> int:
        """Of how many the sender had the echo."""
        return len(self._acknowledged)

    def complaints(self, found: Iterable[tuple[str, str]], since: int = 0) -> list[str]:
        """Return what is wrong with a history, given as senders and texts, oldest first.

        It must have all that is acknowledged, nothing twice, nothing that nobody has said, and what
        each has said in the order in which they did.

        :param since: how many were said before those that should be there.
        """
        times = Counter[str]()
        newest: dict[str, int] = {}
        wrong = []
        for sender, text in found:
            times[text] += 1
            who, number = self._said.get(text, ("", 0))
            if who != sender:
                wrong.append(f"{self.name} has what nobody said: {text[:SHOWN]!r} of {sender}")
            elif times[text] == 1 and number < newest.get(sender, 0):
                wrong.append(f"{self.name} has it out of order: {text[:SHOWN]!r}")
            newest[sender] = max(number, newest.get(sender, 0))
        wrong += [
            f"{self.name} has it {count} times: {text[:SHOWN]!r}"
            for text, count in times.items()
            if count > 1
        ]
        wrong += [
            f"{self.name} has lost it: {text[:SHOWN]!r}"
            for text in self._acknowledged - times.keys()
            if self._said[text][1] >= since
        ]
        return wrong
