"""Sessions and files on the full-screen client, with somebody who has a real client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.client import PeerSettings, TextReceived
from securechat.client.chat.buffers import Entry
from securechat.errors import NetworkError
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    PeerAsked,
    PeerClosed,
    PeerOpened,
    PeerTyping,
)
from securechat.peer.hub import Hub
from tests.client.tui.screens import Screen, account, at_screen, run
from tests.peer.people import Person
from tests.server.relay_harness import LONG_TIMEOUT_S, RunningRelay

ENDLESS_BYTES = 1 << 31
"""Of a file that is still on its way when a test has seen that: a sparse one."""


@pytest.fixture
def bob(relay: RunningRelay, tmp_path: Path) -> Iterator[Person]:
    """Somebody who can be reached, beside ann, who has an account."""
    for name in ("ann", "bob"):
        relay.account(name).quit()
    person = Person(relay, "bob", tmp_path / "bob")
    yield person.connect()
    person.close()


def at_home(relay: RunningRelay, folder: Path, *rooms: str, **more: Any) -> Any:
    """Ann's screen; she knows of peers."""
    settings = PeerSettings(folder / "ann", folder / "ann" / "downloads", allow_loopback=True)
    opening = account(relay, "ann", *rooms, peers=True)
    return at_screen(folder, opening, settings=settings, **more)


async def off(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do what blocks, while the screen goes on."""
    return await asyncio.to_thread(work, *arguments)


async def reachable(ann: Screen) -> None:
    """Wait until others can reach her."""

    def announced() -> bool:
        with contextlib.suppress(NetworkError):
            ann.network.client.peers.list()
            return True
        return False

    await ann.until(announced)
    ann.network.client.command("PING", "announced")
    server = ann.network.chat.conversations.server
    await ann.until(lambda: any("announced" in entry.text for entry in server.entries))


async def with_session(ann: Screen, bob: Person) -> None:
    """Have a session, which ann has asked for, and show it."""
    await reachable(ann)
    await ann.say("/query bob")
    await ann.say("/peer bob")
    await off(bob.accept_next, "ann")
    await ann.see("RELAYED, NOT VERIFIED")


def file_of(ann: Screen) -> Entry:
    """The only file in the conversation that is shown."""
    [entry] = [entry for entry in ann.shown.entries if entry.file is not None]
    return entry


# ---- sessions ----


def test_a_session_is_asked_for_and_used(relay: RunningRelay, tmp_path: Path, bob: Person) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path, "#den", size=(120, 30)) as ann:
            await ann.see("#den", "1 person")
            await reachable(ann)
            bob.peers.open("ann")
            await ann.until(lambda: ann.network.chat.conversations.get("bob"))
            await ann.see("!1", "bob", "asks")
            assert (ann.buffer("bob").unread, ann.buffer("bob").mentions) == (1, 1)
            await ann.press("alt+a")
            await ann.see("bob (account bob) asks for a session, for the first time")
            await ann.see("private, but the relay can read it")
            await ann.say("/accept")
            await off(bob.wait, PeerOpened)
            await ann.see("🔒 RELAYED, NOT VERIFIED", "/verify bob")
            await ann.see_no("the relay can read it", "asks for a session:")
            await ann.type("psst")
            typing = await off(bob.wait, PeerTyping)
            assert typing.state == "active"
            await ann.press("enter")
            said = await off(bob.wait, TextReceived, lambda event: not event.own)
            assert (said.text, said.via) == ("psst", "relayed")
            bob.peers.send("ann", "only for you")
            await ann.see("🔒 relayed", "ann psst", "bob only for you")
            assert [entry.via for entry in ann.shown.entries if entry.is_text] == ["relayed"] * 2

    run(scene())


def test_addresses_that_are_shown_make_it_direct(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    bob.peers.set_trust("ann", show_addresses=True)

    async def scene() -> None:
        async with at_home(relay, tmp_path, size=(120, 30)) as ann:
            await reachable(ann)
            await ann.say("/query bob")
            await ann.say("/trust bob addresses on")
            await ann.say("/peer bob")
            await off(bob.accept_next, "ann")
            await ann.see("🔒 DIRECT, NOT VERIFIED")
            bob.peers.send("ann", "face to face")
            await ann.see("🔒 direct", "face to face")

    run(scene())


def test_the_safety_code_is_compared(relay: RunningRelay, tmp_path: Path, bob: Person) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            [device] = await off(bob.peers.devices, "ann")
            await ann.press("f3")
            await ann.see("Safety code with bob", "not verified")
            digits = "".join(character for character in ann.text() if character.isdigit())
            assert device.safety_code in digits
            await ann.press("escape")
            await ann.see("RELAYED, NOT VERIFIED")
            await ann.press("f3")
            await ann.see("They are the same")
            await ann.pilot.click("#same")
            await ann.see("🔒 RELAYED, VERIFIED", "✓")
            await ann.see_no("NOT VERIFIED")
            await ann.press("f3")
            await ann.see("of this session: verified")
            await ann.pilot.click("#differ")
            await ann.see("RELAYED, NOT VERIFIED")

    run(scene())


def test_no_safety_code_before_the_first_session(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await reachable(ann)
            await ann.say("/query bob")
            await ann.press("f3")
            await ann.see("no device of bob is known yet")

    run(scene())


def test_what_was_meant_for_a_session_does_not_go_to_the_relay(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            bob.peers.close("ann", "good night")
            await ann.see("the session with bob is over: good night")
            await ann.see("private, but the relay can read it")
            await ann.see_no("NOT VERIFIED:")
            await ann.say("between us")
            await ann.see("not sent: the session with bob is over")
            assert ann.texts() == []
            await ann.say("all may know")
            said = await off(bob.wait, TextReceived, lambda event: not event.own)
            assert (said.text, said.via) == ("all may know", None)

    run(scene())


def test_a_session_is_declined(relay: RunningRelay, tmp_path: Path, bob: Person) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await reachable(ann)
            bob.peers.open("ann")
            await ann.see("asks")
            await ann.say("/decline bob")
            await ann.see("no session with bob")
            await ann.see_no("asks")
            assert (await off(bob.wait, PeerClosed)).nick == "ann"

    run(scene())


def test_a_session_that_is_lost_and_comes_back(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            await off(bob.cut, "ann")
            await ann.until(lambda: any("has lost its path" in e.text for e in ann.shown.entries))
            await ann.say("for you alone")
            assert ann.entry("for you alone").via is not None  # and not where the relay can read it
            await ann.until(lambda: ann.entry("for you alone").state == "")
            assert ann.texts() == ["for you alone"]
            said = await off(bob.wait, TextReceived, lambda event: not event.own)
            assert (said.text, said.via) == ("for you alone", "relayed")
            await ann.see("session with bob again", "RELAYED, NOT VERIFIED")
            await ann.see("for you alone")

    run(scene())


def test_a_text_that_a_session_could_not_deliver_is_told(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            asleep, awake = threading.Event(), threading.Event()

            def sleep(hub: Hub) -> None:
                asleep.set()
                awake.wait(LONG_TIMEOUT_S)

            sleeper = asyncio.create_task(off(bob.on_thread, sleep))
            assert await off(asleep.wait, LONG_TIMEOUT_S)
            await ann.say("too late")
            await ann.say("/close bob")
            await ann.until(lambda: ann.entry("too late").state == "refused")
            await ann.see("too late", "✗")
            awake.set()
            await sleeper

    run(scene())


def test_a_conversation_with_a_session_is_not_put_out_of_sight(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path, "#den") as ann:
            await with_session(ann, bob)
            await ann.say("/hide")
            await ann.see("a session is open here; /close bob ends it")
            await ann.see("RELAYED, NOT VERIFIED")
            await ann.say("/close bob")
            await ann.see("the session with bob is over")
            await ann.say("/hide")
            assert ann.network.chat.conversations.get("bob") is None

    run(scene())


def test_who_is_in_a_session_takes_another_nick(
    relay: RunningRelay, tmp_path: Path, bob: Person
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path, "#den") as ann:
            bob.client.join("#den")
            await ann.see("2 people", "⇄")
            await with_session(ann, bob)
            bob.client.set_nick("robert")
            await ann.see("bob is now robert")
            assert ann.shown.name == "robert"
            await ann.see("RELAYED, NOT VERIFIED", "/verify robert")
            await ann.say("whoever you are")
            said = await off(bob.wait, TextReceived, lambda event: not event.own)
            assert (said.text, said.via) == ("whoever you are", "relayed")
            await ann.until(lambda: ann.texts() == ["whoever you are"])
            await ann.press("f3")
            await ann.see("Safety code with robert")

    run(scene())


def test_another_device_is_a_warning(relay: RunningRelay, tmp_path: Path, bob: Person) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            await off(bob.close)
            await ann.see("private, but the relay can read it")
            with contextlib.closing(Person(relay, "bob", tmp_path / "bob's other device")) as other:
                await off(other.connect)
                await ann.say("/peer bob")
                await off(other.wait, PeerAsked)
                other.peers.accept("ann")
                await ann.see("WARNING: bob comes with ANOTHER DEVICE than")
                await ann.see("RELAYED, BUT ANOTHER DEVICE THAN BEFORE")
                await ann.say("/verify bob yes")
                ann.app.chat_screen.tick()
                await ann.see("RELAYED, VERIFIED")

    run(scene())


# ---- files ----


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(range(256)) * 400)
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    path = tmp_path / "endless.bin"
    with path.open("wb") as file:
        file.truncate(ENDLESS_BYTES)
    return path


def test_a_file_that_is_offered_is_taken_by_keys(
    relay: RunningRelay, tmp_path: Path, bob: Person, photo: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            bob.peers.send_file("ann", photo)
            await ann.see("is offered: photo.jpg")
            await ann.press("ctrl+up", "enter")
            await ann.see("accept the file", "decline the file")
            await ann.press("a")
            assert (await off(bob.wait, FileFinished)).outgoing
            await ann.see("photo.jpg", "has arrived:")
            path = tmp_path / "ann" / "downloads" / "photo.jpg"
            assert file_of(ann).file.path == path
            assert path.read_bytes() == photo.read_bytes()
            await ann.press("escape")
            await ann.say("/files")
            await ann.see("no file is on its way")

    run(scene())


def test_a_file_is_offered_in_a_conversation_that_is_not_shown(
    relay: RunningRelay, tmp_path: Path, bob: Person, photo: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path, "#den") as ann:
            await with_session(ann, bob)
            await ann.say("/query #den")
            bob.peers.send_file("ann", photo)
            await ann.see("!1")
            await ann.say("/accept")
            await off(bob.wait, FileFinished)
            await ann.press("alt+a")
            await ann.see("photo.jpg", "has arrived:")

    run(scene())


def test_a_file_is_declined(relay: RunningRelay, tmp_path: Path, bob: Person, photo: Path) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            bob.peers.send_file("ann", photo)
            await ann.see("is offered: photo.jpg")
            await ann.press("ctrl+up", "enter", "d")
            assert (await off(bob.wait, FileEnded)).outgoing
            await ann.see("photo.jpg was not received")
            await ann.press("enter")
            await ann.see("copy")
            await ann.see_no("accept the file", "cancel the file")

    run(scene())


def test_the_way_of_a_file_is_shown_and_can_be_cut_short(
    relay: RunningRelay, tmp_path: Path, bob: Person, endless: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            bob.peers.send_file("ann", endless)
            await ann.see("is offered: endless.bin")
            await ann.press("ctrl+up", "enter", "a")
            await ann.see("receiving endless.bin", "[", " %", "/s", "left")
            await ann.press("enter")
            await ann.see("cancel the file")
            await ann.press("x")
            await ann.see("endless.bin was not received")
            assert (await off(bob.wait, FileEnded)).outgoing

    run(scene())


def test_a_file_is_sent_and_its_name_completed(
    relay: RunningRelay, tmp_path: Path, bob: Person, photo: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            ann.app.chat_screen.composer.set_text(f"/send bob {tmp_path}/pho")
            await ann.press("tab")
            assert ann.app.chat_screen.composer.get_text() == f"/send bob {photo}"
            await ann.press("enter")
            await ann.see("photo.jpg", "is offered, no answer yet")
            offered = await off(bob.wait, FileOffered)
            bob.peers.accept_file(offered.transfer)
            await off(bob.wait, FileFinished)
            await ann.see("photo.jpg", "has arrived")
            assert (bob.downloads / "photo.jpg").read_bytes() == photo.read_bytes()

    run(scene())


def test_a_file_waits_for_its_session(
    relay: RunningRelay, tmp_path: Path, bob: Person, photo: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await reachable(ann)
            await ann.say(f"/send bob {photo}")
            await ann.see("bob is asked for a session; photo.jpg is offered when it is open")
            await off(bob.accept_next, "ann")
            offered = await off(bob.wait, FileOffered)
            bob.peers.decline_file(offered.transfer)
            await ann.say("/query bob")
            await ann.see("photo.jpg was not sent")

    run(scene())


def test_a_file_outlives_its_path(
    relay: RunningRelay, tmp_path: Path, bob: Person, endless: Path
) -> None:
    async def scene() -> None:
        async with at_home(relay, tmp_path) as ann:
            await with_session(ann, bob)
            await ann.say(f"/send bob {endless}")
            offered = await off(bob.wait, FileOffered)
            bob.peers.accept_file(offered.transfer)
            await off(bob.wait, FileAccepted)
            await ann.see("sending endless.bin", " %")
            await off(bob.cut, "ann")
            await ann.see("session with bob again", "sending endless.bin")
            assert file_of(ann).file.state == "moving"
            await ann.say(f"/cancel {file_of(ann).file.transfer}")
            await ann.see("endless.bin was not sent")

    run(scene())
