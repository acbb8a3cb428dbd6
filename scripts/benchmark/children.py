"""Processes of bench.py that do what they are told, one order after the other."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar

from benchmark.crowd import LoadError
from securechat.errors import SecureChatError

__all__ = ["Child", "Children", "Worker"]

END_TIMEOUT_S: Final = 5.0
"""How long a process may take to end when it is told to, before it is killed."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_fork = multiprocessing.get_context("fork")


class Worker(Protocol):
    """What does the work in a process. Owned by its main thread."""

    def close(self) -> None:
        """Let go of everything: the process ends."""


W = TypeVar("W", bound=Worker)
T = TypeVar("T")
P = ParamSpec("P")


class Child(Generic[W]):
    """A process with a worker in it. Owned by its ``Children``; made by them."""

    def __init__(self, process: ForkProcess, pipe: Connection, deadline: float) -> None:
        self.process = process
        self.pipe = pipe
        self._deadline = deadline

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process.pid is not None, "not started"
        return self.process.pid

    @property
    def answered(self) -> bool:
        """Whether it has done the last order."""
        return self.pipe.poll()

    def begin(
        self, work: Callable[Concatenate[W, P], T], *given: P.args, **named: P.kwargs
    ) -> Callable[[], T]:
        """Order ``work``, a method of the worker's class; return what waits for its result.

        That must be called before the next order. It raises ``LoadError`` if the work fails, or is
        not done in time.
        """
        try:
            self.pipe.send((work, given, named))
        except OSError as error:
            raise LoadError("a load process has ended") from error
        return self._answer

    def do(self, work: Callable[Concatenate[W, P], T], *given: P.args, **named: P.kwargs) -> T:
        """Have ``work`` done; return its result. As ``begin``."""
        return self.begin(work, *given, **named)()

    def _answer(self) -> Any:
        # The processes keep to the deadline themselves; one that hangs is not waited for.
        if not self.pipe.poll(max(0.0, self._deadline - time.monotonic()) + END_TIMEOUT_S):
            raise LoadError("a load process does not answer")
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise LoadError("a load process has ended") from error
        if isinstance(answer, LoadError):
            raise answer
        return answer


class Children:
    """Processes that are gone when the block is left. Owned by its caller.

    :param timeout_s: for all that they do, from now on.
    """

    def __init__(self, timeout_s: float) -> None:
        self.deadline: Final = time.monotonic() + timeout_s
        self._children: list[Child[Any]] = []

    def start(self, make: Callable[[float], W]) -> Child[W]:
        """Start a process. ``make`` is called in it: given the deadline, it returns the worker."""
        pipe, far_end = _fork.Pipe()
        inherited = [*(child.pipe for child in self._children), pipe]
        arguments = (partial(make, self.deadline), self.deadline, far_end, inherited)
        process = _fork.Process(target=_work, args=arguments, daemon=True)
        # A signal that is answered by an exception must not come in the middle of a fork, where
        # Python drops exceptions; the process has handlers of its own when it lets them in.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        far_end.close()
        child: Child[W] = Child(process, pipe, self.deadline)
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.pipe.close()  # at which a process that waits for orders ends
        for child in self._children:
            if kind is not None:
                child.process.terminate()
            child.process.join(END_TIMEOUT_S)
            if child.process.exitcode is None:
                child.process.kill()
                child.process.join()


def _work(
    make: Callable[[], Worker], deadline: float, orders: Connection, inherited: Sequence[Connection]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    for pipe in inherited:
        pipe.close()  # the parent's ends: else we would not notice when it has gone
    try:
        worker = make()
    except (LoadError, SecureChatError) as error:
        orders.send(LoadError(str(error)))
        return
    with contextlib.closing(worker), contextlib.suppress(EOFError, OSError):
        while orders.poll(max(0.0, deadline - time.monotonic())):
            work, given, named = orders.recv()
            orders.send(_attempt(work, worker, given, named))


def _attempt(
    work: Callable[..., Any], worker: Worker, given: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    try:
        return work(worker, *given, **named)
    except (LoadError, SecureChatError) as error:
        return LoadError(str(error))
