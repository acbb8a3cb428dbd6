from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

from securechat.net.locks import check_lock_order, make_lock
from tests.net.support import LONG_TIMEOUT_S, InThread


@pytest.fixture(autouse=True)
def _checked() -> Iterator[None]:
    check_lock_order(True)
    yield
    check_lock_order(True)


def test_downwards_is_the_right_order() -> None:
    network, registry, inbox = (make_lock(f"lock {tier}", tier=tier) for tier in (3, 2, 1))
    with network, registry, inbox:
        assert network.locked()
        assert inbox.locked()
    with network, inbox:
        pass
    with registry, inbox:
        pass
    assert not network.locked()
    assert not inbox.locked()


@pytest.mark.parametrize(("outer", "inner"), [(1, 2), (1, 3), (2, 3), (2, 2), (1, 1)])
def test_any_other_order_is_refused(outer: int, inner: int) -> None:
    first, second = make_lock("first", tier=outer), make_lock("second", tier=inner)
    expected = f"second (tier {inner}) taken while holding first (tier {outer})"
    with first, pytest.raises(AssertionError, match=re.escape(expected)), second:
        pass
    assert not first.locked()
    assert not second.locked()
    with second:  # the refusal has left no trace
        pass


def test_taking_a_lock_twice_is_refused_not_waited_for() -> None:
    lock = make_lock("lock", tier=1)
    with lock, pytest.raises(AssertionError, match="lock order"), lock:
        pass


def test_the_innermost_counts() -> None:
    network, registry, inbox = (make_lock(f"lock {tier}", tier=tier) for tier in (3, 2, 1))
    with network, inbox, pytest.raises(AssertionError, match="holding lock 1"), registry:
        pass


def test_each_thread_has_an_order_of_its_own() -> None:
    inbox, network = make_lock("inbox", tier=1), make_lock("network", tier=3)

    def take() -> None:
        with network:
            pass

    with inbox:
        InThread(take).join()


def test_a_lock_excludes() -> None:
    lock = make_lock("lock", tier=1)
    inside = 0
    most = 0
    ready = threading.Barrier(8, timeout=LONG_TIMEOUT_S)

    def work() -> None:
        nonlocal inside, most
        ready.wait()
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [InThread(work) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert most == 1


def test_an_error_inside_releases() -> None:
    lock = make_lock("lock", tier=1)
    with pytest.raises(RuntimeError), lock:
        raise RuntimeError
    assert not lock.locked()


def test_in_production_a_lock_is_a_plain_one() -> None:
    check_lock_order(False)
    plain = make_lock("plain", tier=1)
    assert type(plain) is type(threading.Lock())
    check_lock_order(True)
    assert type(make_lock("checked", tier=1)) is not type(plain)
    with plain:  # a lock stays what it was made as
        assert plain.locked()
