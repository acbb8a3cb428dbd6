"""Two people with peers, each a process, and a relay: as they run."""

from __future__ import annotations

import base64
import contextlib
import filecmp
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.children import RelayProcess, run_relay
from tests.e2e.people import SOON_DEAD, STEADY, People, Person, open_session, talk

MIB = 2**20
GIB = 2**30

FLAGS = ["--allow-loopback", *STEADY]


@pytest.fixture
def people(relay: RelayProcess, tmp_path: Path) -> Iterator[People]:
    with contextlib.closing(People(relay, tmp_path, flags=FLAGS)) as people:
        yield people


def meet(people: People, path: str) -> tuple[Person, Person]:
    """Bring two onto the relay, who trust each other, and whose paths will be of that kind."""
    alice, bob = people.register("alice", "bob")
    alice.trust(bob, show_addresses=path == "direct")
    bob.trust(alice, show_addresses=path == "direct")
    return alice, bob


def test_people_meet_and_part(people: People) -> None:
    alice, bob = people.register("alice", "bob")
    alice.call("peers.open", "bob")
    asked = bob.wait("PeerAsked", account="alice", safety="new")
    bob.call("peers.accept", "alice")
    bob.wait("PeerOpened", fingerprint=asked["fingerprint"], path="relayed", again=False)
    alice.wait("PeerOpened", path="relayed", again=False)
    [code] = [device["safety_code"] for device in alice.call("peers.devices", "bob")]
    assert [device["safety_code"] for device in bob.call("peers.devices", "alice")] == [code]
    talk(alice, bob, "hello")
    alice.end()
    assert bob.wait("PeerClosed")["was_open"]


# ---- paths that go, and come back ----


@pytest.mark.parametrize("path", ["direct", "relayed"])
def test_a_path_that_is_silent_is_given_up_and_comes_back(people: People, path: str) -> None:
    """As when the lid of a laptop is closed: nobody says that the path is gone."""
    people.flags = [*FLAGS, *SOON_DEAD]
    alice, bob = meet(people, path)
    open_session(alice, bob, path=path)
    talk(alice, bob, "before")
    bob.process.send_signal(signal.SIGSTOP)
    said = [alice.say(bob, "to nobody")]
    alice.wait("PeerLost", account="bob")
    said.append(alice.say(bob, "for later"))
    bob.process.send_signal(signal.SIGCONT)
    alice.wait("PeerOpened", path=path, again=True)
    for delivery in said:
        alice.find("Delivered", delivery=delivery)
    talk(alice, bob, "after")
    assert bob.texts() == ["before of alice", "to nobody", "for later", "after of alice"]
    assert alice.texts() == ["before of bob", "after of bob"]


@pytest.mark.parametrize("path", ["direct", "relayed"])
def test_the_relay_is_killed_and_comes_back(ca: Path, tmp_path: Path, path: str) -> None:
    """A direct session does not notice; a relayed one comes back with the relay."""
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(run_relay(ca, tmp_path / "data"))
        people = stack.enter_context(contextlib.closing(People(relay, tmp_path, flags=FLAGS)))
        alice, bob = meet(people, path)
        open_session(alice, bob, path=path)
        talk(alice, bob, "before")
        relay.process.kill()
        for person in (alice, bob):
            person.wait("Disconnected")
        meanwhile = alice.say(bob, "meanwhile")
        if path == "direct":
            alice.find("Delivered", delivery=meanwhile)
        stack.enter_context(run_relay(ca, tmp_path / "data", port=relay.port))
        for person in (alice, bob):
            person.wait("Welcome")
        if path == "relayed":
            alice.wait("PeerOpened", path=path, again=True)
            alice.find("Delivered", delivery=meanwhile)
        talk(alice, bob, "after")
        for person in (alice, bob):
            assert bool(person.seen_of("PeerLost")) == (path == "relayed")
        assert bob.texts() == ["before of alice", "meanwhile", "after of alice"]


# ---- a large file ----


def make_large(path: Path) -> None:
    """Make a file of 1 GiB: for each MiB of random bytes there are 15 of none, which cost no room
    here, and as much as any others on the way."""
    chance = random.Random(path.name)
    with path.open("wb") as file:
        for position in range(0, GIB, 16 * MIB):
            file.seek(position)
            file.write(chance.randbytes(MIB))
        file.truncate(GIB)


def test_a_file_of_a_gibibyte_whose_receiver_is_killed_in_the_middle(
    people: People, tmp_path: Path
) -> None:
    if shutil.disk_usage(tmp_path).free < 2 * GIB:
        pytest.skip(f"less than 2 GiB are free in {tmp_path}")
    large = tmp_path / "large.bin"
    make_large(large)
    alice, bob = meet(people, "direct")
    open_session(alice, bob, path="direct")
    alice.call("peers.send_file", "bob", path=large)
    while bob.wait("FileProgress", outgoing=False)["done_bytes"] < GIB / 3:
        pass
    bob.kill()
    bob = people.again("bob")
    bob.wait("PeerOpened", path="direct")
    had_bytes = bob.wait("FileOffered", name="large.bin", size=GIB)["had_bytes"]
    assert GIB / 3 <= had_bytes < GIB
    bob.wait("FileAccepted", offset=had_bytes)
    sent, received = alice.wait("FileFinished"), bob.wait("FileFinished")
    assert sent["sha256"] == received["sha256"]
    assert filecmp.cmp(large, received["path"], shallow=False)
    Path(received["path"]).unlink()  # pytest keeps what is in its folders for a while


# ---- what the relay sees ----

WINDOW_BYTES = 64


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how ``secret`` may look in a longer text: as it is, and in base64, wherever it is."""
    yield secret
    for start in range(3):
        whole = secret[start:]
        yield base64.b64encode(whole[: len(whole) // 3 * 3])


def find(secrets: list[bytes], folder: Path) -> list[bytes]:
    """Return those of the secrets that are in any file below a folder, in any form."""
    everything = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert everything
    return [
        secret
        for secret in secrets
        if any(form in content for form in forms(secret) for content in everything)
    ]


def test_the_relay_sees_nothing_of_a_relayed_session(ca: Path, tmp_path: Path) -> None:
    chance = random.Random("secret")
    secret_file = tmp_path / "secret.bin"
    secret_file.write_bytes(chance.randbytes(4 * MIB))
    content = secret_file.read_bytes()
    starts = chance.sample(range(len(content) - WINDOW_BYTES), 10)
    secrets = [content[start : start + WINDOW_BYTES] for start in starts]
    secrets += [text.encode() for text in ("das bleibt unter uns, ja?", "ja, natürlich")]
    record, data = tmp_path / "record", tmp_path / "data"
    record.mkdir()
    recording = [sys.executable, "-m", "tests.e2e.recording_relay", str(record)]
    with (
        run_relay(ca, data, command=recording) as relay,
        contextlib.closing(People(relay, tmp_path, flags=FLAGS)) as people,
    ):
        alice, bob = meet(people, "relayed")
        open_session(alice, bob, path="relayed")
        for speaker, listener, text in ((alice, bob, secrets[-2]), (bob, alice, secrets[-1])):
            speaker.say(listener, text.decode())
            listener.wait("TextReceived", text=text.decode(), via="relayed")
        alice.call("peers.send_file", "bob", path=secret_file)
        assert filecmp.cmp(secret_file, bob.wait("FileFinished")["path"], shallow=False)
        # What is said in the chat is in the record: so it would be if this were not enciphered.
        alice.call("send", "bob", f"in the chat: {secrets[-1].decode()}")
        bob.wait("TextReceived", via=None)
        relay.stop()
    assert sum(path.stat().st_size for path in record.iterdir()) > 2 * len(content)
    assert find(secrets, record) == [secrets[-1]]
    assert find(secrets[:-1], data) == []
    assert not any(text.decode() in line for text in secrets[-2:] for line in relay.log)
