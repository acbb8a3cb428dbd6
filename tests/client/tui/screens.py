"""The whole full-screen client in a test: real clients to a real relay, keys in, a screen out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from securechat.client import Client, PeerSettings, Timing
from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.settings.opening import MakeClient, Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Network as Profile
from securechat.client.settings.profiles import PasswordSource
from securechat.client.tui.app import ChatApp
from securechat.client.tui.network import Network
from securechat.irc.message import Message
from tests.client.tui.quiet import until_quiet
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay
from tests.server.relay_harness import Client as Talker

IMPATIENT = Timing(retry_first_s=0.05, retry_most_s=0.1, close_s=1.0)


class Screen:
    """One person at the full-screen client. Owned by the test's thread."""

    def __init__(self, app: ChatApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    # ---- what is seen ----

    def lines(self) -> list[str]:
        """The screen, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def text(self) -> str:
        return "\n".join(self.lines())

    def shows(self, *words: str) -> bool:
        """Whether all of these are on the screen, however it wraps."""
        shown = " ".join(self.text().split())
        return all(word in shown for word in words)

    async def until(self, what: Callable[[], object], why: str = "") -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + LONG_TIMEOUT_S
        while not what():
            assert time.monotonic() < deadline, f"{why}\n{self.text()}"
            await asyncio.sleep(0.01)
        await until_quiet(self.app)

    async def see(self, *words: str) -> None:
        """Wait until all of these are on the screen."""
        await self.until(lambda: self.shows(*words), f"never seen: {words}")

    async def see_no(self, *words: str) -> None:
        """Wait until none of these is."""
        await self.until(
            lambda: not any(self.shows(word) for word in words), f"still there: {words}"
        )

    async def begun(self) -> None:
        """Wait until a network is shown, or something is asked before."""
        app = self.app
        await self.until(lambda: app.chat_screen.network or app.screen is not app.chat_screen)

    # ---- what is done ----

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.pilot.press(*(_KEYS.get(character, character) for character in text))

    async def say(self, text: str) -> None:
        """Type a line into the composer and send it."""
        self.app.chat_screen.composer.focus()
        self.app.chat_screen.composer.set_text(text)
        await self.pilot.press("enter")
        await self.pilot.pause()

    async def hears(self, other: Talker, command: str, *params: str) -> Message:
        """Wait until somebody else has been told that; the screen goes on meanwhile."""
        return await asyncio.to_thread(other.expect, command, *params)

    # ---- the model below ----

    @property
    def network(self) -> Network:
        network = self.app.chat_screen.network
        assert network is not None
        return network

    @property
    def shown(self) -> Buffer:
        buffer = self.app.chat_screen.shown
        assert buffer is not None
        return buffer

    def buffer(self, name: str) -> Buffer:
        buffer = self.network.chat.conversations.get(name)
        assert buffer is not None, name
        return buffer

    def entry(self, text: str) -> Entry:
        """The newest entry where the user is that says that."""
        return next(entry for entry in reversed(self.shown.entries) if entry.text == text)

    def texts(self) -> list[str]:
        """What people have said where the user is."""
        return [entry.text for entry in self.shown.entries if entry.is_text]


_KEYS = {" ": "space", "\n": "enter", "/": "slash", "#": "number_sign", ":": "colon"}


def profile(relay: RunningRelay, nick: str, *rooms: str, **more: Any) -> Profile:
    """Return the profile of a relay that runs here."""
    fields = {"port": relay.address[1], "ca": relay.certificates.ca_file, "peers": False}
    return Profile("localhost", nick, rooms=rooms, **(fields | more))


def account(relay: RunningRelay, nick: str, *rooms: str, **more: Any) -> Opening:
    """Return what opens a relay with the account of ``nick``, which exists there."""
    source = PasswordSource("prompt")
    return Opening("home", profile(relay, nick, *rooms, password=source, **more), PASSWORD)


def client_maker(clients: list[Client], settings: PeerSettings | None = None) -> MakeClient:
    """Return what makes the clients of the app: impatient ones, each noted in ``clients``."""

    def make_client(opening: Opening, wake: Callable[[], None]) -> Client:
        found = opening.profile
        client = Client(
            found.host,
            found.port,
            nick=found.nick,
            relays=found.relays,
            learned=found.learned,
            ca=found.ca,
            account=found.account or None,
            password=opening.password,
            channels=found.rooms,
            interactive=True,
            history=True,
            peers=settings if found.peers else None,
            on_event=wake,
            timing=IMPATIENT,
        )
        clients.append(client)
        return client

    return make_client


@contextlib.asynccontextmanager
async def at_screen(
    folder: Path,
    *openings: Opening,
    size: tuple[int, int] = (100, 30),
    settings: PeerSettings | None = None,
    **more: Any,
) -> AsyncIterator[Screen]:
    """Run the client on a screen that only the test sees."""
    clients: list[Client] = []
    make_client = client_maker(clients, settings)
    app = ChatApp(openings, make_client, ProfileFile(folder / "profiles.toml"), **more)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Screen(app, pilot)
            await screen.begun()
            yield screen
    finally:
        for client in clients:
            client.close()


def run(scene: Awaitable[None]) -> None:
    """Play a scene to its end."""

    async def play() -> None:
        await scene

    asyncio.run(play())
