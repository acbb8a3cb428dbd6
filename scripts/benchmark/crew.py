"""Processes that each hold a crowd of clients, and do together what bench.py tells them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from benchmark.children import Child, Children
from benchmark.crowd import Crowd, LoadError, Target
from benchmark.fanout import Exchange, Receipts

__all__ = ["Connected", "Crew", "share"]

CHANNEL: Final = "#bench"


@dataclass(frozen=True, slots=True)
class Connected:
    """When a crowd began and had connected, by the monotonic clock."""

    began_s: float
    ended_s: float


def share(count: int, parts: int) -> list[int]:
    """Divide ``count`` into ``parts`` as equal as can be."""
    return [count // parts + (n < count % parts) for n in range(parts)]


class Crew:
    """Load processes. Owned by its caller; they are gone when the block is left.

    Each method has all processes do the same at the same time and returns when all have done it;
    ``LoadError`` when one cannot, or when ``timeout_s`` have passed since the crew was made.

    :param prefix: of all nicks; four characters.
    """

    def __init__(self, target: Target, prefix: str, size: int, timeout_s: float) -> None:
        self._children = Children(timeout_s)
        pairs = [socket.socketpair() for _ in range(size - 1)]
        upstream = [first for first, _ in pairs]
        self._members: list[Child[_Member]] = []
        for number in range(size):
            make = partial(
                _Member,
                target,
                prefix,
                number * 20_000,  # nicks do not meet: no crowd has so many clients
                upstream if number == 0 else [],
                pairs[number - 1][1] if number else None,
            )
            self._members.append(self._children.start(make))
        for pair in pairs:
            for sock in pair:
                sock.close()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [member.pid for member in self._members]

    def connect(self, count: int, at_once: int) -> list[Connected]:
        """Connect ``count`` more clients."""
        parts = share(count, len(self._members))
        at_once = max(1, at_once // len(self._members))
        return self._all(_Member.connect, [(part, at_once) for part in parts])

    def join(self) -> None:
        """Have all clients join one room, and read all that this brings."""
        self._all(_Member.join)
        self._all(_Member.settle)

    def prepare(self, senders: int, window: int, text_bytes: int) -> None:
        """Say how ``exchange`` is to be done."""
        self._all(_Member.prepare, [(senders, window, text_bytes)] * len(self._members))

    def exchange(self, messages: int) -> list[Receipts]:
        """Have the senders send so many messages in all, and all members receive them."""
        return self._all(_Member.run, [(messages,)] * len(self._members))

    def __enter__(self) -> Self:
        self._children.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._children.__exit__(kind, error, trace)

    def _all(
        self, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]] | None = None
    ) -> list[Any]:
        each = arguments if arguments is not None else [()] * len(self._members)
        waits = [
            member.begin(work, *given) for member, given in zip(self._members, each, strict=True)
        ]
        return [wait() for wait in waits]


class _Member:
    """A crowd, and what connects its process to the others. Owned by that process."""

    def __init__(
        self,
        target: Target,
        prefix: str,
        first: int,
        upstream: list[socket.socket],
        downstream: socket.socket | None,
        deadline: float,
    ) -> None:
        self._crowd = Crowd(target, prefix, first)
        self._crowd.deadline = deadline
        self._upstream = upstream
        self._downstream = downstream
        self._exchange: Exchange | None = None

    def connect(self, count: int, at_once: int) -> Connected:
        began = time.monotonic()
        self._crowd.connect(count, at_once)
        return Connected(began, time.monotonic())

    def join(self) -> None:
        self._crowd.join(CHANNEL)

    def settle(self) -> None:
        self._crowd.settle()

    def prepare(self, senders: int, window: int, text_bytes: int) -> None:
        self._exchange = Exchange(
            self._crowd,
            CHANNEL,
            senders=senders if self._downstream is None else 0,
            window=window,
            text_bytes=text_bytes,
            upstream=self._upstream,
            downstream=self._downstream,
        )

    def run(self, messages: int) -> Receipts:
        if self._exchange is None:
            raise LoadError("nothing is prepared")
        return self._exchange.run(messages)

    def close(self) -> None:
        self._crowd.close()
