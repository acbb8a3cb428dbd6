from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.net.locks import make_lock
from securechat.server.sessions import SessionRegistry


def make(registry: SessionRegistry) -> Any:
    return SimpleNamespace(id=registry.new_id())


def test_sessions_are_found_while_they_last() -> None:
    registry = SessionRegistry()
    first, second = make(registry), make(registry)
    assert registry.get(first.id) is None
    registry.add(first)
    registry.add(second)
    assert registry.get(first.id) is first
    assert len(registry) == 2
    registry.remove(first)
    assert registry.get(first.id) is None
    assert registry.snapshot() == [second]


def test_removing_twice_is_harmless() -> None:
    registry = SessionRegistry()
    session = make(registry)
    registry.remove(session)
    registry.add(session)
    registry.remove(session)
    registry.remove(session)
    assert len(registry) == 0


def test_people_are_counted_once_whatever_devices_they_have() -> None:
    registry = SessionRegistry()
    sessions = [make(registry) for _ in range(4)]
    for session in sessions:
        registry.add(session)
    assert registry.people == (0, 0, 0), "they have not registered"
    for session, user in zip(sessions, (1, 1, 2, 3), strict=True):
        registry.has_registered(session, user)
    assert registry.people == (4, 3, 3)
    registry.remove(sessions[0])
    registry.remove(sessions[0])
    assert registry.people == (3, 3, 3)
    registry.remove(sessions[1])
    registry.remove(sessions[2])
    assert registry.people == (1, 1, 3)
    registry.has_registered(sessions[1], 1)
    assert registry.people == (1, 1, 3), "it has ended meanwhile"


def test_an_id_is_never_used_again() -> None:
    registry = SessionRegistry()
    seen = []
    for _ in range(5):
        session = make(registry)
        registry.add(session)
        registry.remove(session)
        seen.append(session.id)
    assert sorted(set(seen)) == seen
    assert min(seen) > 0, "0 is the relay itself"


def test_find_keeps_the_order_asked_for_and_leaves_out_those_that_ended() -> None:
    registry = SessionRegistry()
    sessions = [make(registry) for _ in range(4)]
    for session in sessions:
        registry.add(session)
    first, second, third, fourth = sessions
    registry.remove(second)
    asked = (session.id for session in (fourth, second, first))
    assert registry.find(asked) == [fourth, first]
    assert registry.find([third.id, third.id]) == [third, third]
    assert registry.find([]) == []


def test_a_snapshot_is_of_its_moment() -> None:
    registry = SessionRegistry()
    session = make(registry)
    registry.add(session)
    before = registry.snapshot()
    registry.remove(session)
    assert before == [session]
    before.clear()
    registry.add(session)
    assert registry.snapshot() == [session]


def test_the_registry_is_not_iterated() -> None:
    with pytest.raises(TypeError):
        iter(SessionRegistry())  # type: ignore[call-overload]


def test_it_may_be_asked_under_the_network_lock_but_not_under_a_queues() -> None:
    registry = SessionRegistry()
    with make_lock("network", tier=3):
        assert registry.snapshot() == []
    with make_lock("queue", tier=1), pytest.raises(AssertionError, match="lock order"):
        registry.snapshot()


def test_many_threads_may_use_it() -> None:
    registry = SessionRegistry()
    ids: list[list[int]] = [[] for _ in range(8)]
    failures: list[BaseException] = []

    def come_and_go(mine: list[int]) -> None:
        try:
            for _ in range(200):
                session = make(registry)
                mine.append(session.id)
                registry.add(session)
                assert registry.get(session.id) is session
                assert session in registry.snapshot()
                if session.id % 2:
                    registry.remove(session)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    taken = [key for mine in ids for key in mine]
    assert sorted(taken) == list(range(1, 1601))
    assert sorted(session.id for session in registry.snapshot()) == list(range(2, 1601, 2))
