"""The slash-commands of peers, with a client that only takes note."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from securechat.client import (
    DeviceTrust,
    Event,
    FileAccepted,
    FileEnded,
    FileOffered,
    KnownDevice,
    LocalProtocolError,
    NetworkError,
    PeerAsked,
    PeerClosed,
    PeerOpened,
    Policy,
    Safety,
    TransferSnapshot,
)
from securechat.client.events import Welcome
from securechat.client.lines.line_mode import LineMode
from tests.client.noting_peers import NotingClient, make_file, snapshot

NOON = datetime(2026, 1, 2, 12, 0)
FINGERPRINT = "0123456789abcdef" * 4
CODE = ["    12345 12345 12345 12345"] * 3

TOO_LONG = "x" * 300
"""No file system has a file of that name: the system does not even look."""

ASKED = PeerAsked("bobs", "bob", FINGERPRINT, Safety.NEW)
OPENED = PeerOpened("bobs", "bob", FINGERPRINT, "relayed", "", Safety.KNOWN, False)
LOOKED_UP_IN_VAIN = PeerClosed("bob", "bob", "cannot be reached", False)
OVER = PeerClosed("bobs", "bob", "it was ended", True)


class Chat:
    def __init__(self) -> None:
        self.client = NotingClient()
        self.peers = self.client.peers
        self.ui = LineMode(self.client, channels=["#room"], clock=lambda: NOON)  # type: ignore[arg-type]

    def hear(self, *events: Event) -> list[str]:
        self.client.events.extend(events)
        self.ui.handle_events()
        return self.ui.take_output()

    def type(self, line: str) -> list[str]:
        self.ui.handle_line(line)
        return self.ui.take_output()

    def done(self) -> list[tuple[Any, ...]]:
        return self.client.taken()


@pytest.fixture
def chat() -> Chat:
    return Chat()


def device(fingerprint: str, *, in_session: bool = False, verified: bool = False) -> DeviceTrust:
    known = KnownDevice(fingerprint, b"", 0, int(NOON.timestamp() * 1000), verified)
    return DeviceTrust("bob", known, "12345" * 12, in_session)


def offered(number: int, *, before: bool = False) -> FileOffered:
    return FileOffered(number, "bobs", "bob", "r.pdf", "r.pdf", 12, 0, before)


# ---- what is asked for ----


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("/peer bob", ("open", "bob")),
        ("/close bob", ("close", "bob", "alice has ended it")),
        ("/accept bob", ("accept", "bob")),
        ("/accept 3", ("accept_file", 3, None)),
        ("/decline bob", ("decline", "bob")),
        ("/decline 3", ("decline_file", 3)),
        ("/cancel 3", ("cancel_file", 3)),
        ("/trust bob ask", ("set_trust", "bob", ("policy", Policy.ASK))),
        ("/trust bob ALWAYS", ("set_trust", "bob", ("policy", Policy.ALWAYS))),
        ("/trust bob never", ("set_trust", "bob", ("policy", Policy.NEVER))),
        ("/trust bob addresses on", ("set_trust", "bob", ("show_addresses", True))),
        ("/trust bob addresses off", ("set_trust", "bob", ("show_addresses", False))),
        ("/trust bob files on", ("set_trust", "bob", ("take_files", True))),
        ("/trust bob files off", ("set_trust", "bob", ("take_files", False))),
        ("/trust bob new-device", ("accept_device", "bob")),
        ("/verify bob yes", ("verify", "bob", "", True)),
        ("/verify bob no", ("verify", "bob", "", False)),
        ("/verify bob yes 0123ABCD", ("verify", "bob", "0123abcd", True)),
    ],
)
def test_what_is_asked_for(chat: Chat, line: str, done: tuple[Any, ...]) -> None:
    chat.peers.known = (device(FINGERPRINT),)
    chat.type(line)
    assert chat.done() == [done]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/peer", "! usage: /peer NICK"),
        ("/peers all", "! usage: /peers"),
        ("/trust", "! usage: /trust NICK [WHAT [on|off]]"),
        (
            "/trust bob a bit",
            "! usage: /trust NICK [WHAT [on|off]]; /help trust tells what there is",
        ),
        (
            "/trust bob files",
            "! usage: /trust NICK [WHAT [on|off]]; /help trust tells what there is",
        ),
        ("/verify", "! usage: /verify NICK [yes|no [FINGERPRINT]]"),
        ("/verify bob maybe", "! usage: /verify NICK [yes|no [FINGERPRINT]]"),
        ("/send bob", "! usage: /send NICK FILE"),
        ("/cancel bob", "! usage: /cancel NUMBER; /files shows the numbers"),
        ("/cancel 1234567890123", "! usage: /cancel NUMBER; /files shows the numbers"),
        ("/accept", "! nothing is asked now"),
        ("/decline", "! nothing is asked now"),
        ("/accept bob /tmp", "! a folder is for a file: /accept NUMBER FOLDER"),
        ("/accept 3 ~no.such.user/x", "! ~no.such.user/x: there is no such user"),
        ("/send bob /no/such", "! /no/such: there is no such file, or it cannot be read"),
        ("/send bob /", "! /: a folder cannot be sent, only files"),
        (
            f"/send bob {TOO_LONG}",
            f"! {TOO_LONG}: there is no such file, or it cannot be read",
        ),
        (f"/accept 3 {TOO_LONG}", f"! {TOO_LONG}: there is no such folder"),
        ("/accept 3 /no/such", "! /no/such: there is no such folder"),
        ("/peer #room", "! #room: sessions are with one person, by nick or account"),
        ("/peer bob carol", "! bob carol: sessions are with one person, by nick or account"),
        ("/trust #room always", "! #room: sessions are with one person, by nick or account"),
        ("/verify #room", "! #room: sessions are with one person, by nick or account"),
        ("/send #room /", "! #room: sessions are with one person, by nick or account"),
    ],
)
def test_what_cannot_be_done(chat: Chat, line: str, answer: str) -> None:
    assert chat.type(line) == [answer]
    assert chat.done() == []


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("open", "/peer bob"),
        ("close", "/close bob"),
        ("accept", "/accept bob"),
        ("decline", "/decline bob"),
        ("accept_file", "/accept 3"),
        ("decline_file", "/decline 3"),
        ("cancel_file", "/cancel 3"),
        ("accept_device", "/trust bob new-device"),
        ("list", "/peers"),
    ],
)
def test_what_the_peers_refuse_is_told(chat: Chat, method: str, line: str) -> None:
    chat.peers.refusals[method] = LocalProtocolError("nothing was heard of \x1bbob")
    assert chat.type(line) == ["! nothing was heard of \N{REPLACEMENT CHARACTER}bob"]


def test_the_peers_and_the_files(chat: Chat) -> None:
    assert chat.type("/peers") == ["nobody can be reached as a peer now"]
    assert chat.type("/files") == ["no file is on its way"]
    chat.peers.people = (snapshot("bob"), snapshot("carol", "reachable", path=None))
    chat.peers.files = (TransferSnapshot(3, "bob", "bob", "r.pdf", True, "offered", 0, 12),)
    assert chat.type("/peers") == [
        "bob: session, 🔒 relayed, 0 B/s out, 0 B/s in",
        "carol: can be reached, /peer carol asks for a session",
    ]
    assert chat.type("/files") == ["3  to bob: r.pdf, offered, 12 B"]


def test_trust_is_shown_and_changed(chat: Chat) -> None:
    asked = "bob: you are asked before each session"
    relayed = "    your addresses are not shown: sessions are relayed"
    files = "    you are asked about each file"
    assert chat.type("/trust bob") == [asked, relayed, files]
    assert chat.done() == []
    shown = "    your addresses are shown: if theirs are too, the next session can be direct"
    assert chat.type("/trust bob addresses on") == [asked, shown, files]


def test_the_help_for_trust_says_what_there_is(chat: Chat) -> None:
    first, *details = chat.type("/help trust")
    assert first.startswith("/trust NICK [WHAT [on|off]]: ")
    words = ("ask, always, never", "addresses on|off", "files on|off", "new-device")
    assert [line.strip().split("   ")[0] for line in details] == [*words]


def test_who_is_asked_is_told_and_who_asks_is_accepted(chat: Chat) -> None:
    assert chat.type("/peer bob") == ["12:00 * bob is asked for a session"]
    chat.hear(ASKED)
    assert chat.type("/peer bob") == []
    assert chat.done() == [("open", "bob"), ("open", "bob")]


# ---- the safety code ----


def test_no_device_is_known(chat: Chat) -> None:
    assert chat.type("/verify bob") == [
        "no device of bob is known yet; one is after the first session: /peer bob"
    ]


def test_the_code_of_the_session(chat: Chat) -> None:
    chat.peers.known = (device("ab" * 32), device(FINGERPRINT, in_session=True))
    assert chat.type("/verify bob") == [
        "bob, device 0123456789abcdef, of this session, not verified:",
        *CODE,
        "bob must see the same digits on /verify: compare all, by voice or side by side.",
        "If they are the same, /verify bob yes; if not, somebody is in between.",
    ]


def test_the_codes_of_all_devices_when_there_is_no_session(chat: Chat) -> None:
    chat.peers.known = (device("ab" * 32), device(FINGERPRINT, verified=True))
    assert chat.type("/verify bob") == [
        "bob, device abababababababab, last seen 2026-01-02 12:00, not verified:",
        *CODE,
        "bob, device 0123456789abcdef, last seen 2026-01-02 12:00, verified:",
        *CODE,
        "bob must see the same digits on /verify: compare all, by voice or side by side.",
        "If they are the same, /verify bob yes FINGERPRINT; if not, somebody is in between.",
    ]


def test_a_verified_device(chat: Chat) -> None:
    chat.peers.known = (device(FINGERPRINT, in_session=True, verified=True),)
    answer = chat.type("/verify bob yes")
    assert answer == ["bob, device 0123456789abcdef, of this session, verified"]


# ---- questions ----


def test_the_newest_question_is_answered_first(chat: Chat) -> None:
    chat.hear(ASKED, offered(3), offered(4))
    for _ in range(3):
        chat.type("/accept")
    assert chat.done() == [
        ("accept_file", 4, None),
        ("accept_file", 3, None),
        ("accept", "bobs"),
    ]
    assert chat.type("/accept") == ["! nothing is asked now"]


def test_a_question_may_be_answered_by_name(chat: Chat) -> None:
    chat.hear(offered(3), ASKED)
    chat.type("/accept bob")
    chat.type("/decline")
    assert chat.done() == [("accept", "bob"), ("decline_file", 3)]


def test_a_question_is_asked_once(chat: Chat) -> None:
    chat.hear(ASKED, ASKED)
    assert chat.type("/decline") == ["* no session with bobs"]
    assert chat.type("/decline") == ["! nothing is asked now"]


@pytest.mark.parametrize(
    "events",
    [
        [ASKED, OPENED],
        [ASKED, PeerClosed("bobs", "bob", "taken back", False)],
        [offered(3), FileAccepted(3, "bobs", "bob", "r.pdf", 12, False, 0)],
        [offered(3), FileEnded(3, "bobs", "bob", "r.pdf", False, "withdrawn", False, 0)],
        [offered(3, before=True)],
    ],
)
def test_what_needs_no_answer_is_no_question(chat: Chat, events: list[Event]) -> None:
    chat.hear(*events)
    assert chat.type("/accept") == ["! nothing is asked now"]


def test_a_question_that_cannot_be_answered_stays(chat: Chat) -> None:
    chat.hear(ASKED)
    chat.peers.refusals["accept"] = NetworkError("not connected")
    for _ in range(2):
        assert chat.type("/accept") == ["! not connected"]


# ---- files ----


def test_a_file_may_go_into_a_folder_that_there_is(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my files"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    chat.type(f"/accept 3 {folder}")
    chat.type("/accept 4 ~/my files")
    assert chat.done() == [("accept_file", 3, folder), ("accept_file", 4, folder)]


def test_a_folder_that_there_is_not_leaves_the_question_open(chat: Chat) -> None:
    chat.hear(offered(3))
    chat.type("/accept 3 /no/such")
    chat.type("/accept")
    assert chat.done() == [("accept_file", 3, None)]


def test_a_file_is_offered_in_the_session(chat: Chat, tmp_path: Path) -> None:
    path = make_file(tmp_path, "my report.pdf")
    chat.peers.people = (snapshot("bobs", nick="bob"),)
    assert chat.type(f"/send bob {path}") == []
    assert chat.type(f"/send BOBS {path}") == []
    assert chat.done() == [("send_file", "bob", path), ("send_file", "BOBS", path)]


def test_the_home_folder_is_known(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    chat.peers.people = (snapshot("bob"),)
    chat.type(f"/send bob ~/{path.name}")
    assert chat.done() == [("send_file", "bob", path)]


def test_files_wait_for_a_session(chat: Chat, tmp_path: Path) -> None:
    first, second = make_file(tmp_path, "1.pdf"), make_file(tmp_path, "2.pdf")
    said = "12:00 * bob is asked for a session; {} is offered when it is open"
    assert chat.type(f"/send bob {first}") == [said.format("1.pdf")]
    chat.peers.refusals["open"] = LocalProtocolError("bob has been asked already")
    assert chat.type(f"/send bob {second}") == [said.format("2.pdf")]
    assert chat.done() == [("open", "bob")]
    chat.hear(ASKED)
    assert chat.done() == []
    chat.hear(OPENED)
    assert chat.done() == [("send_file", "bob", first), ("send_file", "bob", second)]
    chat.hear(OPENED)
    assert chat.done() == []


@pytest.mark.parametrize(
    "end", [lambda chat: chat.hear(LOOKED_UP_IN_VAIN), lambda chat: chat.type("/decline bob")]
)
def test_without_a_session_a_file_is_not_offered(
    chat: Chat, tmp_path: Path, end: Callable[[Chat], list[str]]
) -> None:
    chat.type(f"/send bob {make_file(tmp_path)}")
    assert end(chat)[-1] == "! not offered: report.pdf"
    chat.done()
    chat.hear(OPENED)
    assert chat.done() == []


def test_the_end_of_the_last_session_is_not_that_of_the_next(chat: Chat, tmp_path: Path) -> None:
    """It was over already when the next one was asked for; only nobody had read of it."""
    path = make_file(tmp_path)
    chat.hear(OPENED)
    chat.type(f"/send bob {path}")
    assert not any("not offered" in line for line in chat.hear(OVER))
    chat.done()
    chat.hear(OPENED)
    assert chat.done() == [("send_file", "bob", path)]


def test_nobody_can_be_asked(chat: Chat, tmp_path: Path) -> None:
    chat.peers.refusals["open"] = NetworkError("not connected")
    assert chat.type(f"/send bob {make_file(tmp_path)}") == ["! not connected"]
    del chat.peers.refusals["open"]
    chat.hear(OPENED)
    assert chat.done() == []


def test_a_file_that_cannot_be_offered_after_all(chat: Chat, tmp_path: Path) -> None:
    chat.type(f"/send bob {make_file(tmp_path)}")
    chat.peers.refusals["send_file"] = LocalProtocolError("there is no session with bob")
    assert chat.hear(OPENED)[-1] == "! not offered: report.pdf: there is no session with bob"


# ---- what is said to a person ----


def test_what_is_said_goes_into_the_session_and_the_prompt_shows_it(chat: Chat) -> None:
    chat.type("/query bob")
    assert chat.ui.prompt == "[bob] "
    chat.hear(OPENED)
    assert chat.ui.prompt == "[bob 🔒 relayed] "
    for line in ("one", "/me two", "/msg bob three", "/notice bob four", "//five"):
        assert chat.type(line) == []
    assert chat.done() == [
        ("send", "bobs", "one", "message"),
        ("send", "bobs", "two", "action"),
        ("send", "bobs", "three", "message"),
        ("send", "bobs", "four", "notice"),
        ("send", "bobs", "/five", "message"),
    ]


def test_a_session_that_is_over_is_told_before_anything_goes_the_other_way(chat: Chat) -> None:
    chat.type("/query bob")
    chat.hear(OPENED, OVER)
    assert chat.ui.prompt == "[bob] "
    assert chat.type("hi") == [
        (
            "! not sent: the session with bob is over. Say it again and it goes through the relay, "
            "which can read it."
        )
    ]
    assert chat.done() == []
    chat.hear(Welcome("alice", "alice", "TestNet", "hello"))
    chat.done()
    chat.type("hi")
    [said] = chat.done()
    assert said[:3] == ("send", "bob", "hi")
