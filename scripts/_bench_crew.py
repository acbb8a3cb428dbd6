"""Processes that each hold a crowd of clients, and do together what bench.py tells them."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from _bench_crowd import Crowd, LoadError, Target
from _bench_fanout import Exchange, Receipts

from securechat.errors import SecureChatError

__all__ = ["Connected", "Crew", "share"]

CHANNEL: Final = "#bench"

END_TIMEOUT_S: Final = 5.0
"""How long a process may take to end when it is told to, before it is killed."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_fork = multiprocessing.get_context("fork")


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
        self._deadline = time.monotonic() + timeout_s
        pairs = [socket.socketpair() for _ in range(size - 1)]
        upstream = [first for first, _ in pairs]
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(size):
            pipe, far_end = _fork.Pipe()
            worker = _Worker(
                far_end,
                upstream if number == 0 else [],
                pairs[number - 1][1] if number else None,
                self._deadline,
            )
            # Nicks do not meet: no crowd has so many clients.
            arguments = (worker, [*self._pipes, pipe], target, prefix, number * 20_000)
            process = _fork.Process(target=_work, args=arguments, daemon=True)
            # A signal that is answered by an exception must not come in the middle of a fork, where
            # Python drops exceptions; the process has handlers of its own when it lets them in.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            far_end.close()
            self._pipes.append(pipe)
            self._processes.append(process)
        for pair in pairs:
            for sock in pair:
                sock.close()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process in self._processes if process.pid is not None]

    def connect(self, count: int, at_once: int) -> list[Connected]:
        """Connect ``count`` more clients."""
        parts = share(count, len(self._pipes))
        at_once = max(1, at_once // len(self._pipes))
        return self._all("connect", [(part, at_once) for part in parts])

    def join(self) -> None:
        """Have all clients join one room, and read all that this brings."""
        self._all("join", [()] * len(self._pipes))
        self._all("settle", [()] * len(self._pipes))

    def prepare(self, senders: int, window: int, text_bytes: int) -> None:
        """Say how ``exchange`` is to be done."""
        self._all("prepare", [(senders, window, text_bytes)] * len(self._pipes))

    def exchange(self, messages: int) -> list[Receipts]:
        """Have the senders send so many messages in all, and all members receive them."""
        return self._all("exchange", [(messages,)] * len(self._pipes))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in self._pipes:
            pipe.close()  # at which a process that waits for orders ends
        for process in self._processes:
            if kind is not None:
                process.terminate()
            process.join(END_TIMEOUT_S)
            if process.exitcode is None:
                process.kill()
                process.join()

    def _all(self, order: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            for pipe, given in zip(self._pipes, arguments, strict=True):
                pipe.send((order, given))
            return [self._answer(pipe) for pipe in self._pipes]
        except (EOFError, OSError) as error:
            raise LoadError("a load process has ended") from error

    def _answer(self, pipe: Connection) -> Any:
        # The processes keep to the deadline themselves; one that hangs is not waited for.
        if not pipe.poll(max(0.0, self._deadline - time.monotonic()) + END_TIMEOUT_S):
            raise LoadError("a load process does not answer")
        answer = pipe.recv()
        if isinstance(answer, LoadError):
            raise answer
        return answer


@dataclass(slots=True)
class _Worker:
    """A process's ends of what connects it to the others. Owned by that process."""

    orders: Connection
    upstream: list[socket.socket]
    downstream: socket.socket | None
    deadline: float
    exchange: Exchange | None = None

    def obey(self, crowd: Crowd, order: str, given: tuple[Any, ...]) -> Any:
        """Do what is ordered; return the answer."""
        match order:
            case "connect":
                began = time.monotonic()
                crowd.connect(*given)
                return Connected(began, time.monotonic())
            case "join":
                return crowd.join(CHANNEL)
            case "settle":
                return crowd.settle()
            case "prepare":
                senders, window, text_bytes = given
                self.exchange = Exchange(
                    crowd,
                    CHANNEL,
                    senders=senders if self.downstream is None else 0,
                    window=window,
                    text_bytes=text_bytes,
                    upstream=self.upstream,
                    downstream=self.downstream,
                )
                return None
            case "exchange" if self.exchange is not None:
                return self.exchange.run(*given)
        raise LoadError(f"no such order: {order}")

    def received(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The orders, until there are no more, or the time is over."""
        with contextlib.suppress(EOFError, OSError):
            while self.orders.poll(max(0.0, self.deadline - time.monotonic())):
                yield self.orders.recv()


def _work(
    worker: _Worker, inherited: Sequence[Connection], target: Target, prefix: str, first: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    for pipe in inherited:
        pipe.close()  # the parent's ends: else we would not notice when it has gone
    try:
        crowd = Crowd(target, prefix, first)
    except SecureChatError as error:
        worker.orders.send(LoadError(str(error)))
        return
    crowd.deadline = worker.deadline
    for order, given in worker.received():
        try:
            answer = worker.obey(crowd, order, given)
        except LoadError as error:
            answer = error
        worker.orders.send(answer)
    crowd.close()
