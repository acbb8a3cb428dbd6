"""Files sent and received while nobody watches, with real clients on a real relay."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securechat.client import (
    Client,
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
    PeerAsked,
    PeerClosed,
    PeerOpened,
    PeerSettings,
    Policy,
)
from securechat.client.lines.file_console import FileConsole
from securechat.client.lines.file_mode import (
    FILES_AT_ONCE,
    FileMode,
    ReceiveFiles,
    ReceiveJob,
    SendFiles,
    SendJob,
)
from securechat.client.words.wording import Wording
from securechat.irc.peering import Reachable
from securechat.net.threads import start_thread
from securechat.peer.known_peers import Safety
from tests.client.noting_peers import NotingClient, make_file
from tests.client.talkers import NOON, QUICK, until_reachable
from tests.peer.conftest import Meet, meet
from tests.peer.people import Person, open_session
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay

__all__ = ["meet"]


class Output(io.StringIO):
    """What a program writes. One thread writes, another may wait."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self._written.set()
        return count

    def wait_for(self, text: str) -> None:
        while text not in self.getvalue():
            assert self._written.wait(LONG_TIMEOUT_S), self.getvalue()
            self._written.clear()


class Program:
    """One run of ``--send`` or ``--receive``, on a thread of its own."""

    def __init__(
        self,
        relay: RunningRelay,
        name: str,
        folder: Path,
        job: SendJob | ReceiveJob,
        *,
        watched: bool = False,
        **clock: Callable[[], float],
    ) -> None:
        self.screen, self.problems = Output(), Output()
        downloads = job.folder if isinstance(job, ReceiveJob) else folder
        self.client = Client(
            "localhost",
            relay.address[1],
            nick=name,
            password=PASSWORD,
            ca=relay.certificates.ca_file,
            peers=PeerSettings(folder, downloads, allow_loopback=True, refuse_changed=True),
            timing=QUICK,
        )
        console = FileConsole(
            Wording(self.client, lambda: NOON),
            screen=self.screen,
            problems=self.problems,
            watched=watched,
        )
        if isinstance(job, SendJob):
            self.mode: FileMode = SendFiles(self.client, console, job, **clock)
        else:
            self.mode = ReceiveFiles(self.client, console, job, **clock)
        self._results: list[bool] = []
        self.client.start()
        self._thread = start_thread(f"files of {name}", self._run)

    def _run(self) -> None:
        with self.client:
            self._results.append(self.mode.run())

    def result(self) -> bool:
        """Wait for the end; return whether all files are whole."""
        self._thread.join(LONG_TIMEOUT_S)
        assert self._results, f"it has not ended: {self.problems.getvalue()}"
        return self._results[0]

    def close(self) -> None:
        self.client.close()
        self._thread.join(LONG_TIMEOUT_S)


Run = Callable[..., Program]


@pytest.fixture
def run(relay: RunningRelay, tmp_path: Path) -> Iterator[Run]:
    """Starts a program of somebody who has an account."""
    with contextlib.ExitStack() as programs:

        def start(name: str, job: SendJob | ReceiveJob, **how: Any) -> Program:
            program = Program(relay, name, tmp_path / name, job, **how)
            programs.callback(program.close)
            return program

        yield start


@pytest.fixture
def bob(meet: Meet) -> Person:
    [bob] = meet("bob")
    return bob


@pytest.fixture(autouse=True)
def alice(relay: RunningRelay, tmp_path: Path) -> Path:
    """Gives alice an account; returns her folder."""
    relay.account("alice").quit()
    return tmp_path / "alice"


def send(*files: Path, name: str = "bob", direct: bool = False) -> SendJob:
    return SendJob(name, files, direct)


def receive(folder: Path, *people: str, count: int = 1, direct: bool = False) -> ReceiveJob:
    folder.mkdir(exist_ok=True)
    return ReceiveJob(folder, people, count, direct)


def hurrying() -> Callable[[], float]:
    """Return a clock by which all time is over as soon as somebody looks."""
    return itertools.count(step=1_000_000.0).__next__


def line_of(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}"


# ---- both ----


def test_many_files_from_program_to_program(relay: RunningRelay, run: Run, tmp_path: Path) -> None:
    relay.account("bob").quit()
    files = [make_file(tmp_path, f"{number}.txt") for number in range(FILES_AT_ONCE + 3)]
    there = tmp_path / "there"
    receiver = run("bob", receive(there, "alice", count=len(files)))
    relay_knows(relay, "bob")
    sender = run("alice", send(*files))
    assert sender.result()
    assert receiver.result()
    assert sorted(path.name for path in there.glob("*.txt")) == sorted(f.name for f in files)
    assert sorted(sender.screen.getvalue().splitlines()) == sorted(map(line_of, files))
    received = [there / file.name for file in files]
    assert sorted(receiver.screen.getvalue().splitlines()) == sorted(map(line_of, received))


def relay_knows(relay: RunningRelay, name: str) -> None:
    """Wait until somebody can be reached as a peer there."""
    watcher = relay.login(name, "securechat/peer", "message-tags")
    until_reachable(watcher, name)
    watcher.quit()


# ---- sending ----


def test_a_file_that_is_declined(run: Run, bob: Person, tmp_path: Path) -> None:
    wanted, other = make_file(tmp_path, "wanted.txt"), make_file(tmp_path, "other.txt")
    sender = run("alice", send(wanted, other))
    bob.accept_next("alice")
    for _ in range(2):
        offered = bob.wait(FileOffered)
        if offered.name == "wanted.txt":
            bob.peers.accept_file(offered.transfer)
        else:
            bob.peers.decline_file(offered.transfer)
    assert not sender.result()
    assert sender.screen.getvalue() == f"{line_of(wanted)}\n"
    assert "(other.txt) was not sent: declined" in sender.problems.getvalue()
    assert bob.seen_of(FileFinished) or bob.wait(FileFinished)  # maybe before the second offer


def test_a_session_that_is_declined(run: Run, bob: Person, tmp_path: Path) -> None:
    sender = run("alice", send(make_file(tmp_path)))
    bob.wait(PeerAsked)
    bob.peers.decline("alice")
    assert not sender.result()
    assert sender.problems.getvalue() == "! bob: declined\n"


def test_nobody_is_there(run: Run, tmp_path: Path) -> None:
    sender = run("alice", send(make_file(tmp_path), name="nobody"))
    assert not sender.result()
    assert sender.problems.getvalue().startswith("! nobody: ")


def test_who_is_only_called_like_a_known_account_is_not_meant(
    meet: Meet, bob: Person, tmp_path: Path
) -> None:
    """The relay says who is called how; it must not have the files of a job go to others."""
    (carol,) = meet("carol")
    console = FileConsole(
        Wording(carol.client, lambda: NOON), screen=Output(), problems=Output(), watched=False
    )
    job = SendJob("bob", (make_file(tmp_path),), show_addresses=False)
    mode = SendFiles(carol.client, console, job)
    called = PeerAsked("mallory", "bob", "f" * 64, Safety.NEW)
    carol.on_thread(lambda hub: hub.signalled(Reachable("bob", "bob", False)))
    carol.on_thread(lambda hub: hub.signalled(Reachable("mallory", "bob")))
    assert mode._is(called, "bob")
    carol.on_thread(lambda hub: hub.signalled(Reachable("mallory", "bob", False)))
    open_session(carol, bob)
    carol.on_thread(lambda hub: hub.signalled(Reachable("mallory", "bob")))
    assert not mode._is(called, "bob")
    assert mode._is(replace(called, account="bob"), "bob")


def test_who_asks_at_the_same_time_is_accepted(run: Run, bob: Person, tmp_path: Path) -> None:
    """Whichever offer comes first: there is one session, and the file goes through it."""
    bob.peers.set_trust("alice", policy=Policy.ALWAYS, take_files=True)
    sender = run("alice", send(make_file(tmp_path)))
    with contextlib.suppress(Exception):  # she is not there yet, or has asked
        bob.peers.open("alice")
    assert sender.result()


def test_addresses_are_shown_if_that_was_said(run: Run, bob: Person, tmp_path: Path) -> None:
    bob.peers.set_trust("alice", show_addresses=True, take_files=True)
    sender = run("alice", send(make_file(tmp_path), direct=True))
    assert bob.accept_next("alice").path == "direct"
    assert sender.result()


def test_the_path_breaks_in_the_middle(run: Run, bob: Person, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(30_000_000))
    bob.peers.set_trust("alice", take_files=True)
    sender = run("alice", send(path))
    bob.accept_next("alice")
    bob.wait_for_bytes()
    bob.cut("alice")
    bob.wait_open("alice")
    assert sender.result()
    assert bob.wait(FileFinished).path.read_bytes() == path.read_bytes()


def test_the_session_ends_before_all_is_sent(run: Run, bob: Person, tmp_path: Path) -> None:
    sender = run("alice", send(make_file(tmp_path)))
    bob.accept_next("alice")
    bob.wait(FileOffered)
    bob.peers.close("alice", "no time")
    assert not sender.result()
    assert "was not sent: no time" in sender.problems.getvalue()


def test_a_relay_that_does_not_come_back(
    relay: RunningRelay, run: Run, bob: Person, tmp_path: Path
) -> None:
    sender = run("alice", send(make_file(tmp_path)), seconds=hurrying())
    bob.wait(PeerAsked)
    relay.stop()
    assert not sender.result()
    assert "connection lost" in sender.problems.getvalue()
    assert sender.problems.getvalue().endswith("! the relay has not come back\n")


def test_a_relay_without_peers(
    relay: RunningRelay, start_relay: StartRelay, tmp_path: Path
) -> None:
    relay.stop()
    relay = start_relay(peers={"enabled": False})
    for job in (send(make_file(tmp_path)), receive(tmp_path / "there", "bob")):
        program = Program(relay, "alice", tmp_path / "alice", job)
        assert not program.result()
        assert "! this relay does not know of peers" in program.problems.getvalue()
        program.close()


# ---- another device ----


def with_another_device(meet: Meet, person: Person) -> Person:
    person.close()
    shutil.rmtree(person.folder)
    return meet.again(person.name)


def know(meet: Meet, relay: RunningRelay, bob: Person) -> None:
    """Let alice have had a session with bob's device."""
    alice = meet.again("alice")
    open_session(alice, bob)
    alice.peers.close("bob")
    bob.wait(PeerClosed)
    alice.close()


def test_nothing_is_sent_to_another_device_than_the_known_one(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    know(meet, relay, bob)
    again = with_another_device(meet, bob)
    again.peers.set_trust("alice", policy=Policy.ALWAYS, take_files=True)
    for _ in range(2):  # the first try has not made it a known one
        sender = run("alice", send(make_file(tmp_path)))
        assert not sender.result()
        assert "!!! WARNING: bob comes with" in sender.problems.getvalue()
        assert "! bob: its device is not the one" in sender.problems.getvalue()
        again.wait(PeerClosed)
    assert again.seen_of(FileOffered) == []
    assert again.seen_of(PeerOpened) == []


def test_nothing_is_received_from_another_device_than_the_known_one(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    know(meet, relay, bob)
    again = with_another_device(meet, bob)
    receiver = run("alice", receive(tmp_path / "there", "bob"))
    relay_knows(relay, "alice")
    again.peers.open("alice")
    assert again.wait(PeerClosed).reason == "declined"
    receiver.problems.wait_for("!!! WARNING: bob comes with")


# ---- receiving ----


def test_only_from_those_who_are_named(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    [carol] = meet("carol")
    receiver = run("alice", receive(tmp_path / "there", "bob"))
    relay_knows(relay, "alice")
    carol.peers.open("alice")
    assert carol.wait(PeerClosed).reason == "declined"
    bob.peers.open("alice")
    bob.wait_open("alice")
    bob.peers.send_file("alice", make_file(tmp_path))
    bob.wait(FileFinished)
    bob.peers.close("alice")
    assert receiver.result()


def test_a_session_that_is_accepted_unasked_is_ended_if_nobody_named_it(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    alice = meet.again("alice")
    alice.peers.set_trust("bob", policy=Policy.ALWAYS, take_files=True)
    alice.close()
    run("alice", receive(tmp_path / "there", "carol"))
    relay_knows(relay, "alice")
    bob.peers.open("alice")
    assert bob.wait(PeerClosed).reason == "only files of others are received now"


def test_without_names_only_from_those_whose_files_are_taken_unasked(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    [carol] = meet("carol")
    alice = meet.again("alice")
    alice.peers.set_trust("bob", take_files=True)
    alice.close()
    receiver = run("alice", receive(tmp_path / "there"))
    relay_knows(relay, "alice")
    carol.peers.open("alice")
    assert carol.wait(PeerClosed).reason == "declined"
    bob.peers.open("alice")
    bob.wait_open("alice")
    bob.peers.send_file("alice", make_file(tmp_path))
    bob.wait(FileFinished)
    bob.peers.close("alice")
    assert receiver.result()
    assert (tmp_path / "there" / "report.pdf").exists()
    assert "only of those for whom /trust NICK files on is set" in receiver.problems.getvalue()


def test_no_more_than_was_asked_for(
    relay: RunningRelay, run: Run, bob: Person, tmp_path: Path
) -> None:
    receiver = run("alice", receive(tmp_path / "there", "bob"))
    relay_knows(relay, "alice")
    bob.peers.open("alice")
    bob.wait_open("alice")
    for name in ("1.txt", "2.txt"):
        bob.peers.send_file("alice", make_file(tmp_path, name))
    over = [
        bob.wait(object, lambda event: isinstance(event, FileEnded | FileFinished)) for _ in "12"
    ]
    assert {type(event) for event in over} == {FileEnded, FileFinished}
    bob.peers.close("alice")
    assert receiver.result()
    assert len(list((tmp_path / "there").glob("*.txt"))) == 1


def test_who_does_not_end_the_session_is_left(
    relay: RunningRelay, run: Run, bob: Person, tmp_path: Path
) -> None:
    receiver = run("alice", receive(tmp_path / "there", "bob"), seconds=hurrying())
    relay_knows(relay, "alice")
    bob.peers.open("alice")
    bob.wait_open("alice")
    bob.peers.send_file("alice", make_file(tmp_path))
    assert receiver.result()
    bob.wait(FileFinished)


def test_a_file_that_its_sender_takes_back(
    relay: RunningRelay, run: Run, bob: Person, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000_000))
    receiver = run("alice", receive(tmp_path / "there", "bob"))
    relay_knows(relay, "alice")
    bob.peers.open("alice")
    bob.wait_open("alice")
    transfer = bob.peers.send_file("alice", path)
    bob.wait(FileAccepted)
    bob.peers.cancel_file(transfer)
    bob.wait(FileEnded)
    bob.peers.close("alice")
    assert not receiver.result()
    assert "(large) was not received" in receiver.problems.getvalue()


def test_a_sender_that_begins_anew_is_waited_for(
    relay: RunningRelay, meet: Meet, run: Run, bob: Person, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(30_000_000))
    receiver = run("alice", receive(tmp_path / "there", "bob"))
    relay_knows(relay, "alice")
    bob.peers.open("alice")
    bob.wait_open("alice")
    bob.peers.send_file("alice", path)
    bob.wait(FileAccepted)
    bob.cut("alice")  # so that it ends without a word
    bob.close()
    again = meet.again("bob")
    again.accept_next("alice")
    again.peers.send_file("alice", path)
    again.wait(FileFinished)
    again.peers.close("alice")
    assert receiver.result()
    assert (tmp_path / "there" / "large").read_bytes() == path.read_bytes()


# ---- what is shown ----


def test_nothing_but_problems_is_told_to_nobody_and_news_to_who_watches(
    relay: RunningRelay, run: Run, bob: Person, tmp_path: Path
) -> None:
    bob.peers.set_trust("alice", policy=Policy.ALWAYS, take_files=True)
    unwatched = run("alice", send(make_file(tmp_path)))
    assert unwatched.result()
    assert unwatched.problems.getvalue() == ""
    watched = run("alice", send(make_file(tmp_path)), watched=True)
    assert watched.result()
    lines = watched.problems.getvalue().splitlines()
    expected = (
        "connected to",
        "welcome to",
        "session with bob",
        "is offered",
        "being sent",
        "whole",
    )
    for line, news in zip(lines, expected, strict=True):
        assert news in line
    assert watched.screen.getvalue() == unwatched.screen.getvalue()


def progress(transfer: int, done: int) -> FileProgress:
    return FileProgress(transfer, "bob", f"{transfer}.txt", True, done, 1_000, 100.0, 5.0)


def test_progress_has_one_line_which_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen, problems = io.StringIO(), io.StringIO()
    wording = Wording(NotingClient(), lambda: NOON)  # type: ignore[arg-type]
    console = FileConsole(wording, screen=screen, problems=problems, watched=True)

    def new() -> str:
        text = problems.getvalue()
        problems.seek(0)
        problems.truncate()
        return text

    console.show(progress(1, 500))
    assert new() == "file 1 (1.txt): 50 % of 1.0 kB, 100 B/s"
    erase = f"\r{' ' * 39}\r"
    console.show(progress(2, 250))
    assert new() == erase + "2 files: 750 B of 2.0 kB, 200 B/s"
    console.say("! a problem")
    assert new() == f"\r{' ' * 33}\r! a problem\n"
    console.show(FileEnded(1, "bob", "bob", "1.txt", True, "declined", False, 0))
    assert new() == "12:00 ! file 1 (1.txt) was not sent: declined\n"
    console.show(progress(2, 500))
    assert new() == "file 2 (2.txt): 50 % of 1.0 kB, 100 B/s"
    path = Path("/tmp/2.txt")
    console.show(FileFinished(2, "bob", "bob", "2.txt", True, path, 1_000, "ab" * 32))
    assert new().startswith(f"{erase}12:00 * file 2 has arrived whole")
    assert screen.getvalue() == f"{'ab' * 32}  /tmp/2.txt\n"
    console.erase_progress()
    assert new() == ""


def test_progress_is_for_who_watches() -> None:
    problems = io.StringIO()
    wording = Wording(NotingClient(), lambda: NOON)  # type: ignore[arg-type]
    console = FileConsole(wording, screen=io.StringIO(), problems=problems, watched=False)
    console.show(progress(1, 500))
    assert problems.getvalue() == ""
