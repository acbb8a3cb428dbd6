"""The corpus, and a little of what the fuzzer makes up; and that it finds what it is to find."""

from __future__ import annotations

import traceback
from random import Random
from typing import Any

import pytest

from securechat.errors import RemoteProtocolError
from securechat.irc import sasl
from securechat.irc.framing import LineBuffer
from securechat.irc.message import Message
from securechat.peer.records import RecordReader
from securechat.server import session
from securechat.server.context import Context
from securechat.server.event_log import EventLog
from securechat.server.network import Network
from tests.fuzzing.memory_parts import memory_database
from tests.fuzzing.mutation import Inputs
from tests.fuzzing.relay import run_relay
from tests.fuzzing.relay_words import make_script
from tests.fuzzing.targets import CORPUS, TARGETS, read_corpus

INPUTS = {"relay": 60, "websocket": 100, "records": 200, "config": 200}
CORPUS_FILES = 300
CORPUS_BYTES = 500_000


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - {"relay"}))
def test_nothing_breaks_at_the_corpus(name: str) -> None:
    inputs = read_corpus(name)
    assert len(inputs) >= 5
    for data in inputs:
        TARGETS[name].run(data)


def test_nothing_breaks_at_the_scripts_which_get_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else to find nothing would say little: what is said gets to all kinds of events."""
    seen: set[str] = set()
    propose = EventLog.propose

    def note(self: EventLog, event: Any, context: Any, then: Any, refused: Any) -> None:
        def taken() -> None:
            seen.add(type(event).__name__)
            if then is not None:
                then()

        propose(self, event, context, taken, refused)

    monkeypatch.setattr(EventLog, "propose", note)
    for data in read_corpus("relay"):
        run_relay(data)
    assert len(seen) > 35, sorted(seen)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_at_what_is_made_of_it(name: str) -> None:
    inputs = Inputs(TARGETS[name], read_corpus(name), "test")
    for _ in range(INPUTS.get(name, 500)):
        TARGETS[name].run(inputs.next())


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_broken_by_nothing(name: str) -> None:
    for data in (b"", b"\n", b"\0", b"\xff", b"\xff" * 300, bytes(range(256))):
        TARGETS[name].run(data)


def test_the_corpus_stays_small() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert len(files) < CORPUS_FILES
    assert sum(path.stat().st_size for path in files) < CORPUS_BYTES


def test_the_shares_are_a_whole() -> None:
    assert sum(target.share for target in TARGETS.values()) == 1_000


def test_the_same_seed_makes_the_same_inputs() -> None:
    def made(seed: str) -> list[bytes]:
        inputs = Inputs(TARGETS["relay"], read_corpus("relay"), seed)
        return [inputs.next() for _ in range(50)]

    assert made("a") == made("a") != made("b")
    assert make_script(Random(1)) == make_script(Random(1))


def test_what_was_done_to_the_database_is_undone() -> None:
    run_relay(b"0REGISTER * * :correct-horse\n2PRIVMSG #a :kept")
    with memory_database("cat", "dan", "Eve") as database:
        (accounts,) = database.execute("SELECT count(*) FROM accounts").fetchone()
        assert accounts == 3


# ---- faults that must be found ----


def found(name: str, data: bytes) -> str:
    with pytest.raises(AssertionError) as failure:
        TARGETS[name].run(data)
    return "".join(traceback.format_exception(failure.value))


def test_a_crashed_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: Network, nick: str) -> None:
        raise KeyError(nick)

    monkeypatch.setattr(Network, "find_departed", crash)
    assert "WHOWAS failed" in found("relay", b"0WHOWAS bob")


def test_indexes_that_disagree_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(channel: Any, user: Any) -> None:
        del channel.members[user.id]

    monkeypatch.setattr(Network, "remove_member", lambda self, channel, user: forget(channel, user))
    found("relay", b"0PART #a\n1PING x")


def test_a_line_that_is_two_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Context.send

    def send(self: Context, command: str, *params: str) -> None:
        if command == "PONG":
            self.line(":relay.test PONG relay.test :a\rb")
        else:
            tell(self, command, *params)

    monkeypatch.setattr(Context, "send", send)
    found("relay", b"0PING x")


def test_a_line_that_is_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def end_line(tags: str, body: str) -> bytes:
        return f"{body}{'x' * 600}\r\n".encode()

    monkeypatch.setattr("securechat.server.context.end_line", end_line)
    found("relay", b"5PING x")


def test_a_session_that_is_held_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "resume", lambda self, work, anyway=False: None)
    assert "held" in found("relay", b"0CHATHISTORY LATEST #a * 5")


def test_a_session_that_stays_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.Session, "closed", lambda self, error: None)
    found("relay", b"0PING x\n-0")


def test_an_answer_without_its_label_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "_apply_label", lambda self: None)
    assert "not answered" in found("relay", b"0@label=L{n} PING x")


def test_a_registration_that_is_not_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.Session, "registered", lambda self: None)
    found("relay", b"0PING x")


def test_lines_that_depend_on_the_cut_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = LineBuffer.feed

    def forgetful(self: LineBuffer, data: bytes) -> Any:
        if len(data) == 1 and data == b"b":
            return []
        return feed(self, data)

    monkeypatch.setattr(LineBuffer, "feed", forgetful)
    found("framing", b"\x02abc\ndef\n")


def test_a_message_that_does_not_come_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Message.to_line
    monkeypatch.setattr(Message, "to_line", lambda self: line(self).replace(":", ""))
    found("parser", b"\x00PRIVMSG #a :two words")


def test_a_proof_that_is_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sasl.hmac, "compare_digest", lambda a, b: True)
    wrong = b"c=biws,r=clientserver,p=" + b"A" * 43 + b"="
    found("sasl", b"Q\n={first}\n=" + wrong)


def test_records_that_depend_on_the_cut_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    after = RecordReader.next

    def hasty(self: RecordReader) -> Any:
        if self._size == 5:
            raise RemoteProtocolError("no body")
        return after(self)

    monkeypatch.setattr(RecordReader, "next", hasty)
    found("records", b"\x00\x00\x00\x00\x02\x05{}")
