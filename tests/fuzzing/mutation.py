"""Inputs made from others: changed by bytes, by words, by lines."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.fuzzing.targets import Target

__all__ = ["Inputs"]

_POOL: Final = 512
"""How many inputs are kept to be changed: the corpus, and the latest."""

_MADE: Final = 0.2
"""The part of inputs that is made of nothing."""


class Inputs:
    """An endless row of inputs for one target; the same for the same ``seed`` and ``corpus``."""

    def __init__(self, target: Target, corpus: Sequence[bytes], seed: str) -> None:
        self._target = target
        self._random = Random(seed)
        self._pool = list(corpus[:_POOL])
        while len(self._pool) < 32:
            self._pool.append(target.make_input(self._random))

    def next(self) -> bytes:
        """Return the next input."""
        chance = self._random.random()
        if chance < _MADE:
            return self._target.make_input(self._random)
        pool = self._pool
        data = pool[int(self._random.random() * len(pool))]
        for _ in range(1 + int(self._random.random() * 3)):
            data = self._change(data)
        data = data[: self._target.most]
        if chance > 0.98:  # it goes on from there
            if len(pool) < _POOL:
                pool.append(data)
            else:
                pool[int(self._random.random() * len(pool))] = data
        return data

    def _change(self, data: bytes) -> bytes:
        chance = self._random.random
        place = int(chance() * (len(data) + 1))
        kind = int(chance() * 8)
        if kind < 2:
            words = self._target.words
            return data[:place] + words[int(chance() * len(words))] + data[place:]
        if kind == 2:
            return data[:place] + bytes((int(chance() * 256),)) + data[place + 1 :]
        if kind == 3:
            return data[:place] + data[place + 1 + int(chance() * chance() * 24) :]
        if kind == 4:
            piece = data[place : place + 1 + int(chance() * 16)]
            return data[:place] + piece * (1 + int(chance() * chance() * 40)) + data[place:]
        if kind == 5 and place < len(data):
            return data[:place] + bytes((data[place] ^ 1 << int(chance() * 8),)) + data[place + 1 :]
        pool = self._pool
        other = pool[int(chance() * len(pool))]
        if kind == 6:
            return data[:place] + other[int(chance() * (len(other) + 1)) :]
        return self._mix_lines(data, other)

    def _mix_lines(self, data: bytes, other: bytes) -> bytes:
        """Put a line of ``other`` somewhere, or take one away, or have two change places."""
        chance = self._random.random
        lines, others = data.split(b"\n"), other.split(b"\n")
        place = int(chance() * len(lines))
        kind = int(chance() * 3)
        if kind == 0:
            lines.insert(place, others[int(chance() * len(others))])
        elif kind == 1:
            del lines[place]
        else:
            second = int(chance() * len(lines))
            lines[place], lines[second] = lines[second], lines[place]
        return b"\n".join(lines)
