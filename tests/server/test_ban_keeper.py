"""What is kept of bans, and what those who let connections in know of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from securechat.errors import StoreBusy, StoreError
from securechat.server.admission import Admission
from securechat.server.ban_keeper import BanKeeper
from securechat.server.network import Network
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.bans import BanRecord, Bans
from securechat.store.sqlite_database import SqliteDatabase
from tests.server.network_transcripts import LIMITS, START_MS, parse_event

HERE, THERE = "192.0.2.1", "198.51.100.1"


class Notes:
    """The part of a context that a keeper uses."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class Kept:
    """A network whose bans are kept, and what the store has of them."""

    def __init__(self, store: StoreThread, now_ms: int = START_MS) -> None:
        self.store = store
        self.notes = Notes()
        self.network = Network(LIMITS)
        self.now_ms = now_ms
        self.admission = Admission(9, 0, (), wall_clock=lambda: self.now_ms / 1000)
        self.keeper = BanKeeper(store, self.network, self.admission)
        self.keeper.load(now_ms)
        self.keeper.begin()

    def play(self, *lines: str) -> None:
        for line in lines:
            found = self.network.apply(parse_event(line, self.now_ms))
            self.keeper.keep(found, self.notes)  # type: ignore[arg-type]

    def saved(self) -> list[BanRecord]:
        return self.store.call(lambda connection: Bans(connection).load())

    def check(self) -> None:
        """What is kept is what there is, and so it is after a restart."""
        there = sorted((ban.kind, ban.mask, ban.reason, ban.set_ms) for ban in self.network.bans)
        assert there == sorted((r.kind, r.mask, r.reason, r.set_ms) for r in self.saved())
        other = Kept(self.store, self.now_ms)
        assert sorted(map(repr, other.network.bans)) == sorted(map(repr, self.network.bans))
        for address in (HERE, THERE):
            assert other.lets_in(address) == self.lets_in(address)

    def lets_in(self, address: str) -> bool:
        seat = self.admission.take(address)
        if seat is not None:
            seat.leave()
        return seat is not None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreThread]:
    thread = StoreThread(SqliteDatabase(tmp_path / "relay.db"))
    with contextlib.closing(thread):
        yield thread


@pytest.fixture
def kept(store: StoreThread) -> Kept:
    return Kept(store)


def test_bans_are_kept_and_forgotten(kept: Kept) -> None:
    kept.play("0 kline - Spam!*@* no spam", f"0 dline 60 {HERE} x")
    kept.check()
    assert [record.folded_mask for record in kept.saved()] == [HERE, "spam!*@*"]
    assert (kept.lets_in(HERE), kept.lets_in(THERE)) == (False, True)
    kept.play("0 kline 5 SPAM!*@* no more spam", f"0 dline - {THERE} x", f"0 undline {HERE}")
    kept.check()
    assert (kept.lets_in(HERE), kept.lets_in(THERE)) == (True, False)
    kept.play("0 unkline spam!*@*")
    kept.check()


def test_a_ban_that_has_ended_goes_from_everywhere(kept: Kept) -> None:
    kept.play("0 kline 5 x!*@* x", f"0 dline 5 {HERE} x")
    kept.now_ms += 5_000
    assert kept.lets_in(HERE)
    again = Kept(kept.store, kept.now_ms)
    assert list(again.network.bans) == again.saved() == []


def test_the_next_change_takes_along_what_has_ended(kept: Kept) -> None:
    kept.play("0 kline 5 x!*@* x", f"0 dline 5 {HERE} x")
    kept.now_ms += 5_000
    kept.play("0 kline - y!*@* x")
    assert [record.mask for record in kept.saved()] == ["y!*@*"]
    kept.check()


def test_other_effects_are_nothing_to_keep(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.store, "submit", _refuse)
    kept.play("1 attach alice", "1 join #den", "1 detach bye")
    assert kept.notes.texts == []


def test_what_the_store_did_not_take_is_written_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.play("0 kline - x!*@* x")
    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", _refuse)
        kept.play(f"0 dline - {HERE} x", "0 unkline x!*@*", f"0 dline - {HERE} y")
    assert kept.notes.texts[0] == "bans are not kept for now: full"
    assert not kept.lets_in(HERE), "whatever becomes of the store"
    kept.play("0 kline - y!*@* x")
    kept.keeper.retry()
    kept.check()
    assert [record.reason for record in kept.saved()] == ["y", "x"]


def test_what_could_not_be_written_is_written_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit = kept.store.submit

    def fail(work: Callable[[Connection], None], done: Callable[[Outcome[None]], None]) -> None:
        def failing(connection: Connection) -> None:
            work(connection)
            raise StoreError("the disk is full")

        submit(failing, done)

    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", fail)
        kept.play(f"0 dline - {HERE} x")
    assert kept.saved() == []
    assert "bans are not kept for now: the disk is full" in caplog.text
    kept.keeper.retry()
    kept.check()


def _refuse(work: object, done: object) -> None:
    raise StoreBusy("full")
