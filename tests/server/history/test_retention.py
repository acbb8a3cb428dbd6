"""Old entries go, and the oldest of what is too many; in small pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechat.server.history import retention
from securechat.server.history.retention import SWEEP_S
from tests.server.conftest import StartRelay
from tests.server.relay_harness import WALL_S, Client, FakeClock, RunningRelay

CAPS = ("batch", "draft/chathistory")
DAY_S = 86_400
PATIENT = {"ping_interval_s": 3_600.0}


def texts(client: Client, target: str) -> list[str]:
    found = client.collect(f"CHATHISTORY LATEST {target} * 100")
    return [message.params[1] for message in found if message.command == "PRIVMSG"]


def rows(relay: RunningRelay) -> int:
    relay.relay.services.history.flush()
    (count,) = relay.relay._store.call(
        lambda connection: connection.execute("SELECT count(*) FROM messages").fetchone()
    )
    return int(count)


def sweep(relay: RunningRelay, clock: FakeClock, pieces: int = 1) -> None:
    """Let the time of a sweep come, and all its pieces be done."""
    thread = relay.relay._threads[0]
    for _ in range(pieces):
        clock.now += SWEEP_S
        relay.wake()
        session = relay.session("ann")
        # The timer runs at the end of the turn in which it is due, and posts when the store has
        # done its piece: each step is waited for, however the threads take turns.
        for _ in range(4):
            relay.run_on(session, lambda: None)
            relay.relay._store.call(lambda connection: None)
            thread.post(lambda: None)


@pytest.fixture
def wall() -> FakeClock:
    return FakeClock(WALL_S)


def test_by_age(start_relay: StartRelay, clock: FakeClock, wall: FakeClock) -> None:
    relay = start_relay(history={"days": 2}, clock=clock, limits=PATIENT, wall_clock=wall)
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :old", "PRIVMSG ann :old too")
    wall.now += DAY_S
    ann.ask("PRIVMSG #a :new")
    sweep(relay, clock)
    assert texts(ann, "#a") == ["old", "new"]
    wall.now += DAY_S + 1
    sweep(relay, clock)
    assert texts(ann, "#a") == ["new"]
    assert texts(ann, "ann") == []


def test_a_reload_may_change_how_long(
    start_relay: StartRelay, clock: FakeClock, wall: FakeClock
) -> None:
    relay = start_relay(
        history={"days": 0},
        clock=clock,
        limits=PATIENT,
        wall_clock=wall,
        load_config=lambda: replace(relay.config, history=replace(relay.config.history, days=1)),
    )
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :old")
    wall.now += DAY_S + 1
    assert relay.relay.reload()[0] == "taken: [history] days"
    sweep(relay, clock)
    assert texts(ann, "#a") == []


def test_without_a_limit_nothing_is_remembered_for_it(
    start_relay: StartRelay, clock: FakeClock, wall: FakeClock
) -> None:
    history = {"days": 0, "messages_per_room": 0}
    relay = start_relay(history=history, clock=clock, limits=PATIENT, wall_clock=wall)
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :x", "PRIVMSG ann :y")
    assert texts(ann, "#a") == ["x"]
    keeper = relay.relay.services.history
    assert len(keeper.grown(9)) == 2
    sweep(relay, clock)
    assert keeper.grown(9) == []
    assert texts(ann, "#a") == ["x"]


def test_rooms_may_keep_less(
    start_relay: StartRelay, clock: FakeClock, wall: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_ENTRIES", 4)
    monkeypatch.setattr(retention, "_ROOMS", 1)
    relay = start_relay(history={"days": 0}, clock=clock, limits=PATIENT, wall_clock=wall)
    ann = relay.account("ann", *CAPS)
    for room in ("#a", "#b", "#c"):
        ann.ask(f"JOIN {room}", *(f"PRIVMSG {room} :{n}" for n in range(6)))
    ann.ask("ROOM HISTORY #a 1", "ROOM HISTORY #b 2")
    wall.now += DAY_S + 1
    ann.ask("PRIVMSG #a :new")
    sweep(relay, clock, pieces=5)
    assert texts(ann, "#a") == ["new"]
    assert texts(ann, "#b") == texts(ann, "#c") == [*"012345"]
    wall.now += DAY_S + 1
    sweep(relay, clock, pieces=5)
    assert texts(ann, "#a") == texts(ann, "#b") == []
    assert texts(ann, "#c") == [*"012345"]


def test_rooms_may_keep_nothing(
    start_relay: StartRelay, clock: FakeClock, wall: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is goes at once; if it could not, with the next sweep."""
    relay = start_relay(history={"days": 0}, clock=clock, limits=PATIENT, wall_clock=wall)
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :x", "JOIN #b", "PRIVMSG #b :x")
    ann.ask("ROOM HISTORY #a off")
    assert texts(ann, "#a") == []
    with monkeypatch.context() as patch:
        patch.setattr(relay.relay.services.history, "_limit", 0)
        ann.ask("ROOM HISTORY #b off")
    assert texts(ann, "#b") == ["x"]
    wall.now += 1
    sweep(relay, clock)
    assert texts(ann, "#b") == []
    assert rows(relay) == 0


def test_by_number(
    start_relay: StartRelay, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_ENTRIES", 4)
    relay = start_relay(history={"messages_per_room": 3}, clock=clock, limits=PATIENT)
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", *(f"PRIVMSG #a :{n}" for n in range(10)))
    ann.ask(*(f"PRIVMSG ann :{n}" for n in range(4)))
    sweep(relay, clock, pieces=5)
    assert texts(ann, "#a") == ["7", "8", "9"]
    assert texts(ann, "ann") == ["1", "2", "3"]


def test_never(start_relay: StartRelay, clock: FakeClock, wall: FakeClock) -> None:
    relay = start_relay(
        history={"days": 0, "messages_per_room": 0}, clock=clock, limits=PATIENT, wall_clock=wall
    )
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :old")
    wall.now += 10_000 * DAY_S
    sweep(relay, clock, pieces=2)
    assert texts(ann, "#a") == ["old"]


def test_what_was_said_in_a_room_that_is_no_more(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(history={"days": 0}, clock=clock, limits=PATIENT)
    ann, gil = relay.account("ann", *CAPS), relay.join("gil", *CAPS)
    gil.ask("JOIN #g", "PRIVMSG #g :x", "PART #g")
    ann.ask("JOIN #a", "PRIVMSG #a :x")
    before = rows(relay)
    sweep(relay, clock)
    assert rows(relay) == before - 2 == 2


def test_guests_rooms_end_with_the_relay(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay()
    ann, gil = relay.account("ann", *CAPS), relay.join("gil", *CAPS)
    gil.ask("JOIN #g", "PRIVMSG #g :x")
    ann.ask("JOIN #a", "PRIVMSG #a :x", "PRIVMSG ann :x")
    relay.stop()
    again = start_relay(clock=clock, limits=PATIENT)
    ann = again.login("ann", *CAPS)
    ann.ask("JOIN #a")
    assert texts(ann, "#a") == texts(ann, "ann") == ["x"]
    before = rows(again)
    sweep(again, clock)
    assert rows(again) == before - 2
