"""Finding a host by its name, on a thread of its own."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence

import pytest

from securechat.errors import NetworkError
from securechat.net.io_thread import IoThread
from securechat.peer.look_up import ADDRESSES_MOST, LookUp
from tests.server.relay_harness import LONG_TIMEOUT_S

Answer = Sequence[tuple[str, int]] | NetworkError


@pytest.fixture
def io() -> Iterator[IoThread]:
    thread = IoThread("test net")
    thread.start()
    yield thread
    thread.stop(1.0)


def ask(io: IoThread, host: str) -> Answer:
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    LookUp(io, host, 6697, found=answers.put, failed=answers.put)
    return answers.get(timeout=LONG_TIMEOUT_S)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_found_as_it_is(io: IoThread, host: str) -> None:
    assert ask(io, host) == [(host, 6697)]


def test_a_name_is_found_each_address_once(io: IoThread) -> None:
    found = ask(io, "localhost")
    assert not isinstance(found, NetworkError)
    assert ("127.0.0.1", 6697) in found
    assert len(found) == len(set(found)) <= ADDRESSES_MOST


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_what_is_nowhere(io: IoThread, host: str) -> None:
    failure = ask(io, host)
    assert isinstance(failure, NetworkError)
    assert str(failure).startswith("cannot find the host ")


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
def test_who_has_given_up_is_told_nothing(io: IoThread, host: str) -> None:
    """Whatever the answer would have been; one that was asked later is told after it."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    began: queue.SimpleQueue[None] = queue.SimpleQueue()

    def begin() -> None:
        LookUp(io, host, 1, found=answers.put, failed=answers.put).cancel()
        began.put(None)

    io.post(begin)
    began.get(timeout=LONG_TIMEOUT_S)
    ask(io, "127.0.0.1")
    assert answers.empty()
