"""How peers and their files read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from securechat.client import (
    DeviceTrust,
    Event,
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
    FileSending,
    KnownDevice,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerReachable,
    PeerSnapshot,
    PeerTyping,
    Policy,
    Safety,
    TextReceived,
    TransferSnapshot,
    Trust,
)
from securechat.client.words.peer_wording import (
    PROGRESS_EVERY,
    describe_device,
    describe_peer,
    describe_progress,
    describe_transfer,
    describe_trust,
    size,
)
from securechat.client.words.wording import Wording
from tests.client.noting_peers import NotingClient, snapshot

NOON = datetime(2026, 1, 2, 12, 0)
FINGERPRINT = "0123456789abcdef" * 4
EVIL = "\x1b]0;x\x07"
MARK = "\N{REPLACEMENT CHARACTER}"
SAFE = f"{MARK}]0;x{MARK}"

DOUBT = "It may be a new one (0123456789abcdef), or somebody in between: ask bob by another way."


class LocalClock:
    """A local time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> LocalClock:
    return LocalClock()


@pytest.fixture
def wording(clock: LocalClock) -> Wording:
    return Wording(NotingClient(), clock)  # type: ignore[arg-type]


def asked(safety: Safety, account: str = "bob") -> PeerAsked:
    return PeerAsked(account, "bob", FINGERPRINT, safety)


def opened(path: Any, address: str, safety: Safety, *, again: bool = False) -> PeerOpened:
    return PeerOpened("bob", "bob", FINGERPRINT, path, address, safety, again)


def offered(**changes: Any) -> FileOffered:
    fields = {"name": "report.pdf", "safe_name": "report.pdf", "size": 1_234_567, "had_bytes": 0}
    return FileOffered(3, "bob", "bob", **(fields | {"accepted_before": False} | changes))


def progress(done: int, rate: float, left_s: float | None) -> FileProgress:
    return FileProgress(3, "bob", "report.pdf", True, done, 1_234_567_890, rate, left_s)


def text(*, own: bool, via: Any, kind: Any = "message") -> TextReceived:
    return TextReceived(
        "bob",
        "bob" if own else "alice",
        "alice" if own else "bob",
        "bob",
        "hi",
        kind,
        datetime(2026, 1, 2, 12, 4).astimezone(UTC),
        direct=True,
        own=own,
        via=via,
    )


SHOWN: list[tuple[Event, str]] = [
    (
        asked(Safety.NEW),
        (
            "* bob (account bob) asks for a session, for the first time: the device is not known; "
            "/accept bob or /decline bob"
        ),
    ),
    (
        asked(Safety.KNOWN, "bobs"),
        (
            "* bob (account bobs) asks for a session, from a device that is known, but not "
            "verified; /accept bob or /decline bob"
        ),
    ),
    (
        asked(Safety.VERIFIED),
        (
            "* bob (account bob) asks for a session, from a verified device; "
            "/accept bob or /decline bob"
        ),
    ),
    (
        asked(Safety.CHANGED, "Bob"),
        (
            "* bob (account Bob) asks for a session, WARNING: from another device than before; "
            "/accept bob or /decline bob"
        ),
    ),
    (
        PeerIdentityChanged("bobs", "bob", FINGERPRINT, False),
        (
            "!!! WARNING: bob (account bobs) comes with ANOTHER DEVICE than before"
            f"\n      | {DOUBT}"
            "\n      | In a session, /verify bob compares the safety code."
        ),
    ),
    (
        PeerIdentityChanged("bob", "bob", FINGERPRINT, True),
        (
            "!!! WARNING: bob comes with a device that is NOT VERIFIED"
            f"\n      | {DOUBT}"
            "\n      | Nothing is sent to it until you accept it: /trust bob new-device"
        ),
    ),
    (
        opened("direct", "192.0.2.5", Safety.VERIFIED),
        "* session with bob: direct, 192.0.2.5; verified",
    ),
    (
        opened("relayed", "", Safety.KNOWN),
        "* session with bob: relayed; not verified: /verify bob shows what to compare",
    ),
    (
        opened("relayed", "", Safety.VERIFIED, again=True),
        "* session with bob again: relayed; verified",
    ),
    (
        PeerLost("bobs", "bob", "no answer"),
        "! the session with bob (account bobs) has lost its path: no answer; it looks for another",
    ),
    (
        PeerClosed("bob", "bob", "it was ended", True),
        "! the session with bob is over: it was ended",
    ),
    (PeerClosed("bob", "bob", "declined", False), "! no session: bob: declined"),
    (offered(), "* bob offers file 3: report.pdf (1.2 MB); /accept 3 or /decline 3"),
    (
        offered(name="../report.pdf", had_bytes=500_000),
        (
            "* bob offers file 3: report.pdf, called ../report.pdf there (1.2 MB); 500.0 kB of "
            "it are here; /accept 3 or /decline 3"
        ),
    ),
    (
        offered(had_bytes=500_000, accepted_before=True),
        "* bob offers file 3: report.pdf (1.2 MB); 500.0 kB of it are here; it goes on",
    ),
    (
        FileSending(3, "bobs", "bob", "report.pdf", 1_234_567),
        "* file 3 is offered to bob: report.pdf (1.2 MB)",
    ),
    (
        FileAccepted(3, "bob", "bob", "report.pdf", 1_234_567, True, 0),
        "* file 3 (report.pdf) is being sent to bob",
    ),
    (
        FileAccepted(3, "bob", "bob", "report.pdf", 1_234_567, False, 500_000),
        "* file 3 (report.pdf) is being received from bob from 500.0 kB on",
    ),
    (
        FileFinished(3, "bob", "bob", "r.pdf", True, Path("/home/r.pdf"), 12, FINGERPRINT),
        "* file 3 has arrived whole at bob: r.pdf (12 B, SHA-256 0123456789abcdef)",
    ),
    (
        FileFinished(3, "bob", "bob", "r.pdf", False, Path("/d/r (1).pdf"), 12, FINGERPRINT),
        "* file 3 has arrived whole: /d/r (1).pdf (12 B, SHA-256 0123456789abcdef)",
    ),
    (
        FileEnded(3, "bob", "bob", "report.pdf", True, "declined", False, 0),
        "! file 3 (report.pdf) was not sent: declined",
    ),
    (
        FileEnded(3, "bob", "bob", "report.pdf", False, "cancelled", True, 500_000),
        (
            "! file 3 (report.pdf) was not received: cancelled; 500.0 kB of it stay, and another "
            "try goes on there"
        ),
    ),
]


@pytest.mark.parametrize(("event", "words"), SHOWN)
def test_what_is_shown(wording: Wording, event: Event, words: str) -> None:
    assert wording.line(event) == f"12:00 {words}"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (text(own=False, via="direct"), "12:04 [private, 🔒 direct] <bob> hi"),
        (text(own=True, via="relayed"), "12:04 [private to bob, 🔒 relayed] <alice> hi"),
        (text(own=False, via="relayed", kind="action"), "12:04 [private, 🔒 relayed] * bob hi"),
        (text(own=False, via=None), "12:04 [private] <bob> hi"),
        (text(own=True, via=None), "12:04 [private to bob] <alice> hi"),
    ],
)
def test_the_lock_stands_where_the_relay_cannot_read(
    wording: Wording, event: TextReceived, line: str
) -> None:
    assert wording.line(event, "bob") == line


@pytest.mark.parametrize(
    "event", [PeerReachable("bob", "bob", True), PeerTyping("bob", "bob", "active")]
)
def test_what_is_not_shown(wording: Wording, event: Event) -> None:
    assert wording.line(event) == ""


EVIL_EVENTS: list[Event] = [
    PeerAsked(EVIL, EVIL, FINGERPRINT, Safety.NEW),
    PeerIdentityChanged(EVIL, EVIL, FINGERPRINT, True),
    PeerOpened(EVIL, EVIL, FINGERPRINT, "direct", EVIL, Safety.KNOWN, False),
    PeerLost(EVIL, EVIL, EVIL),
    PeerClosed(EVIL, EVIL, EVIL, True),
    PeerClosed(EVIL, EVIL, EVIL, False),
    FileOffered(3, EVIL, EVIL, EVIL, EVIL + "x", 1, 0, False),
    FileSending(3, EVIL, EVIL, EVIL, 1),
    FileAccepted(3, EVIL, EVIL, EVIL, 1, True, 0),
    FileFinished(3, EVIL, EVIL, EVIL, True, Path("/x"), 1, FINGERPRINT),
    FileFinished(3, EVIL, EVIL, "x", False, Path(f"/{EVIL}"), 1, FINGERPRINT),
    FileEnded(3, EVIL, EVIL, EVIL, True, EVIL, False, 0),
]


@pytest.mark.parametrize("event", EVIL_EVENTS)
def test_what_comes_from_others_is_made_safe(wording: Wording, event: Event) -> None:
    line = wording.line(event)
    assert SAFE in line
    assert "\x1b" not in line
    assert "\x07" not in line


def test_progress_is_shown_now_and_then(wording: Wording, clock: LocalClock) -> None:
    wording.line(FileAccepted(3, "bob", "bob", "report.pdf", 1_234_567_890, True, 0))
    shown = []
    for second in range(1, 13):
        clock.now = NOON + timedelta(seconds=second)
        shown.append(wording.line(progress(second * 100_000_000, 1e8, 11.3 - second)) != "")
    every = int(PROGRESS_EVERY.total_seconds())
    assert [second for second, said in enumerate(shown, 1) if said] == [every, 2 * every]


def test_a_short_file_shows_none_and_the_next_one_begins_anew(
    wording: Wording, clock: LocalClock
) -> None:
    begin = FileAccepted(3, "bob", "bob", "r.pdf", 12, True, 0)
    end = FileFinished(3, "bob", "bob", "r.pdf", True, Path("/r.pdf"), 12, FINGERPRINT)
    for event in (begin, progress(5, 5.0, 1.0), end):
        clock.now += timedelta(seconds=2)
        assert (wording.line(event) == "") is isinstance(event, FileProgress)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            progress(617_283_945, 3_400_000.0, 181.6),
            "file 3 (report.pdf): 50 % of 1.2 GB, 3.4 MB/s, 3 min 2 s left",
        ),
        (progress(0, 0.0, None), "file 3 (report.pdf): 0 % of 1.2 GB, nothing moves"),
        (progress(0, 100.0, 12.4), "file 3 (report.pdf): 0 % of 1.2 GB, 100 B/s, 12 s left"),
        (
            progress(0, 1e5, 12_345),
            "file 3 (report.pdf): 0 % of 1.2 GB, 100.0 kB/s, 3 h 25 min left",
        ),
    ],
)
def test_how_far_a_file_is(event: FileProgress, words: str) -> None:
    assert describe_progress(event) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_500_000_000, "1.5 GB"),
        (2e15, "2000.0 TB"),
    ],
)
def test_sizes(count: float, words: str) -> None:
    assert size(count) == words


# ---- what commands show ----


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (
            snapshot("bobs", "reachable", nick="bob", path=None),
            "bob (account bobs): can be reached, /peer bob asks for a session",
        ),
        (
            snapshot("bob", "asked", path=None),
            "bob: asks for a session, /accept bob or /decline bob",
        ),
        (snapshot("bob", "asking", path=None), "bob: is asked for a session"),
        (
            snapshot(
                "bob",
                path="direct",
                address="192.0.2.5",
                safety=Safety.VERIFIED,
                sent_bytes_per_s=1_234_567.0,
                received_bytes_per_s=12.0,
            ),
            "bob: session, 🔒 direct, 192.0.2.5, verified, 1.2 MB/s out, 12 B/s in",
        ),
        (
            snapshot("bob", path="relayed", safety=Safety.KNOWN),
            "bob: session, 🔒 relayed, not verified, 0 B/s out, 0 B/s in",
        ),
        (
            snapshot("bob", "lost", path=None, safety=Safety.BLOCKED),
            "bob: session without a path, looking for one, not the verified device",
        ),
        (
            snapshot(EVIL, "open", path="direct", address=EVIL),
            f"{SAFE}: session, 🔒 direct, {SAFE}, 0 B/s out, 0 B/s in",
        ),
    ],
)
def test_a_peer(peer: PeerSnapshot, words: str) -> None:
    assert describe_peer(peer) == words


@pytest.mark.parametrize(
    ("trust", "lines"),
    [
        (
            Trust("bob", Policy.ASK, False, False),
            [
                "bob: you are asked before each session",
                "    your addresses are not shown: sessions are relayed",
                "    you are asked about each file",
            ],
        ),
        (
            Trust("bobs", Policy.ALWAYS, True, True),
            [
                "bob (account bobs): sessions with a known device are accepted unasked",
                "    your addresses are shown: if theirs are too, the next session can be direct",
                "    files are taken unasked",
            ],
        ),
    ],
)
def test_trust(trust: Trust, lines: list[str]) -> None:
    assert describe_trust("bob", trust) == lines


def device(**changes: Any) -> KnownDevice:
    seen_ms = int(datetime(2026, 1, 1, 8, 30).timestamp() * 1000)
    fields = {"first_seen_ms": 0, "last_seen_ms": seen_ms, "verified": False, "accepted": False}
    return KnownDevice(FINGERPRINT, b"", **(fields | changes))


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (
            DeviceTrust("bob", device(), "12345" * 12, True),
            "bob, device 0123456789abcdef, of this session, not verified:",
        ),
        (
            DeviceTrust("bobs", device(verified=True), "12345" * 12, False),
            "bob (account bobs), device 0123456789abcdef, last seen 2026-01-01 08:30, verified:",
        ),
        (
            DeviceTrust("bob", device(accepted=True), "12345" * 12, True),
            "bob, device 0123456789abcdef, of this session, not verified, accepted:",
        ),
    ],
)
def test_a_device(found: DeviceTrust, title: str) -> None:
    assert describe_device("bob", found) == [title, *["    12345 12345 12345 12345"] * 3]


@pytest.mark.parametrize(
    ("transfer", "words"),
    [
        (
            TransferSnapshot(3, "bobs", "bob", "report.pdf", True, "offered", 0, 1_234_567),
            "3  to bob: report.pdf, offered, 1.2 MB",
        ),
        (
            TransferSnapshot(12, "bob", "bob", EVIL, False, "running", 617_000, 1_234_567),
            f"12  from bob: {SAFE}, 49 % of 1.2 MB",
        ),
        (
            TransferSnapshot(1, "bob", "bob", "empty", False, "running", 0, 0),
            "1  from bob: empty, 100 % of 0 B",
        ),
    ],
)
def test_a_transfer(transfer: TransferSnapshot, words: str) -> None:
    assert describe_transfer(transfer) == words
