"""Waiting until an app has done all it was told: what Textual's ``Pilot`` waits with in our tests.

On its own, a ``Pilot`` sends messages around and then watches the processor until it rests; that
takes a multiple of what the app does itself, and a busy machine makes a guess of it. Whether a
widget waits for a message can be seen.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot, WaitForScreenTimeout

_ROUNDS = 8
"""Most drawings one after the other: what moves all the time would never be done."""

_STILL = 3
"""For so many turns of the loop all have waited, if nothing comes any more that is under way."""

_TURNS = 100
"""Turns of the loop without a pause; a widget that is not done then waits for a thread."""

_PAUSE_S = 0.005


def use_quiet(patch: pytest.MonkeyPatch) -> None:
    """Have every ``Pilot`` wait for quiet."""

    async def wait_for_screen(pilot: Pilot[Any], timeout: float = 30.0) -> bool:
        return await until_idle(pilot.app, timeout)

    patch.setattr(Pilot, "_wait_for_screen", wait_for_screen)


async def until_idle(app: App[Any], timeout_s: float = 30.0) -> bool:
    """Wait until all widgets wait for messages, of which there are none.

    Return whether it came to that: not if the app has failed. Raises ``WaitForScreenTimeout``.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    still = turns = 0
    while still < _STILL:
        if app._exception_event.is_set():
            return False
        still = still + 1 if all(map(_waits, (app, *app._registry))) else 0
        if asyncio.get_running_loop().time() > deadline:
            raise WaitForScreenTimeout("some widget is still busy")
        turns += 1
        await asyncio.sleep(0 if turns < _TURNS else _PAUSE_S)
    return True


async def until_quiet(app: App[Any]) -> None:
    """Wait until nothing is to be done any more, and all is drawn."""
    for _round in range(_ROUNDS):
        if not await until_idle(app) or not app._running or not _is_to_draw(app):
            return
        app.screen._on_timer_update()


def _waits(pump: MessagePump) -> bool:
    if pump._closed or pump._task is None:  # has ended, or never begins
        return True
    queue = pump._message_queue
    return queue.empty() and not pump._next_callbacks and bool(queue.ready_event._waiters)  # type: ignore[attr-defined]


def _is_to_draw(app: App[Any]) -> bool:
    screen = app.screen
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )
