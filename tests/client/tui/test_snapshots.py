"""Pictures of the full-screen client, compared with those that somebody has looked at.

``pytest tests/client/tui/test_snapshots.py --snapshot-update`` makes them again; look at each
before it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from securechat.client import Client
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.tui.app import ChatApp
from securechat.client.words.translation import choose_language
from tests.client.tui.screens import Screen, account, client_maker
from tests.server.relay_harness import Client as Talker
from tests.server.relay_harness import RunningRelay

CAPS = ("message-tags", "server-time", "batch", "echo-message", "draft/message-redaction")
NOON = datetime(2023, 11, 14, 22, 15, tzinfo=UTC)
"""Soon after what the relay of these tests takes for the present."""

SIZES = {"wide": (120, 36), "usual": (80, 24), "narrow": (50, 20)}

Scene = Callable[[Screen, Talker], Awaitable[None]]


class SnapCompare(Protocol):
    def __call__(self, app: ChatApp, **more: Any) -> bool: ...


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LANGUAGE", "en")  # choose_language changes it
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.delenv("NO_COLOR", raising=False)  # colours are a part of what was looked at
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def relay(start_relay: Any) -> RunningRelay:
    """A relay whose time stands still."""
    started: RunningRelay = start_relay()
    return started


class Stage:
    """A room in which something was said, and a client that shows it."""

    def __init__(self, relay: RunningRelay, folder: Path, snap: SnapCompare) -> None:
        self.relay = relay
        self.folder = folder
        self.snap = snap
        self.bob = relay.account("bob", *CAPS)
        self.bob.send("JOIN #den", "TOPIC #den :Who brings what?", "JOIN #attic")
        relay.account("ann").quit()

    def shows(self, scene: Scene, size: str = "usual", **more: Any) -> bool:
        """Play a scene, and compare what is on the screen at its end."""
        clients: list[Client] = []
        app = ChatApp(
            [account(self.relay, "ann", "#den", "#attic")],
            client_maker(clients),
            ProfileFile(self.folder / "profiles.toml"),
            clock=lambda: NOON,
            **more,
        )

        async def run_before(pilot: Pilot[int]) -> None:
            screen = Screen(app, pilot)
            await screen.begun()
            await screen.until(lambda: len(screen.network.chat.conversations.rooms()) == 2)
            await screen.until(lambda: screen.buffer("#attic").reaches_start)
            await scene(screen, self.bob)
            for area in app.screen.query(TextArea):
                area.cursor_blink = False
            for line in app.screen.query(Input):
                line.cursor_blink = False
            app.chat_screen.update_panes()
            await pilot.pause()

        try:
            return self.snap(app, terminal_size=SIZES[size], run_before=run_before)
        finally:
            for client in clients:
                client.close()


@pytest.fixture
def stage(relay: RunningRelay, tmp_path: Path, snap_compare: SnapCompare) -> Stage:
    return Stage(relay, tmp_path, snap_compare)


async def talk(ann: Screen, bob: Talker) -> None:
    """A conversation with something of each kind."""
    bob.send("PRIVMSG #den :The weather will be fine: see https://example.org/weather for more")
    await ann.see("weather")
    await ann.say("/reply bob then let us go")
    await ann.see("then let us go")
    answer = await ann.hears(bob, "PRIVMSG", "#den", "then let us go")
    bob.send(f"@+reply={answer.tags['msgid']};+draft/react=👍 TAGMSG #den")
    bob.send("PRIVMSG #den :\x01ACTION packs\x01", "PRIVMSG #den :oops")
    wrong = await ann.hears(bob, "PRIVMSG", "#den", "oops")
    bob.send(f"REDACT #den {wrong.tags['msgid']} :wrong room")
    bob.send("PRIVMSG #attic :ann, are you up here?", "PRIVMSG #den :Ann: the tent?")
    bob.send("@+typing=active TAGMSG #den")
    await ann.until(lambda: ann.buffer("#attic").mentions == 1)
    await ann.until(lambda: bool(ann.shown.typing))
    await ann.until(lambda: any(entry.reactions for entry in ann.shown.entries))
    await ann.until(lambda: any(entry.redacted_by for entry in ann.shown.entries))


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("size", list(SIZES))
def test_a_conversation(stage: Stage, language: str, size: str) -> None:
    choose_language(language)
    assert stage.shows(talk, size)


@pytest.mark.parametrize("theme", ["light", "contrast", "sixteen"])
def test_themes(stage: Stage, theme: str) -> None:
    assert stage.shows(talk, theme=theme)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_menu_of_a_message(stage: Stage, language: str) -> None:
    async def scene(ann: Screen, bob: Talker) -> None:
        await talk(ann, bob)
        await ann.press("ctrl+up", "enter")

    choose_language(language)
    assert stage.shows(scene)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_search(stage: Stage, language: str) -> None:
    async def scene(ann: Screen, bob: Talker) -> None:
        await talk(ann, bob)
        await ann.press("ctrl+f")
        await ann.type("tent")
        await ann.press("enter")
        await ann.until(lambda: not ann.shows("…") or ann.shows("Ann: the tent?"))
        await ann.see("the tent?")

    choose_language(language)
    assert stage.shows(scene)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_help(stage: Stage, language: str) -> None:
    async def scene(ann: Screen, bob: Talker) -> None:
        await ann.press("f1")
        await ann.pilot.pause()

    choose_language(language)
    assert stage.shows(scene)
