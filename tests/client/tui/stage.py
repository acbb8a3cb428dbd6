"""An app to put screens on, and keys for it: no time passes but what the app itself needs."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import App
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.screen import Screen

from securechat.client.tui.themes import THEMES, variable_defaults
from tests.client.tui.quiet import until_quiet


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.animation_level = "none"
        for theme in THEMES.values():
            self.register_theme(theme)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until all that was said to widgets is handled, and what they said then, and drawn."""
    await until_quiet(pilot.app)


async def show(pilot: Pilot[Any], screen: Screen[Any], results: list[Any]) -> None:
    """Push a screen whose result goes into a list."""
    pilot.app.push_screen(screen, results.append)
    await settle(pilot)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, one after the other: names of keys, or characters."""
    for key in keys:
        name, character = key, None
        if len(key) == 1:
            name, character = _character_to_key(key), key
        pilot.app.post_message(events.Key(name, character))
        await settle(pilot)


def shown(app: App[Any]) -> str:
    """Return what is on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)
