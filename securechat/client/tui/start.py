"""Starting the full-screen client, and leaving the terminal as it was."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from securechat.client.chat.chat import FAREWELL
from securechat.client.client import Client
from securechat.client.settings.opening import MakeClient, Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Profiles
from securechat.client.tui.app import ChatApp
from securechat.errors import SecureChatError
from securechat.net.threads import start_thread

__all__ = ["run_screen"]


def run_screen(
    openings: Sequence[Opening],
    make_client: MakeClient,
    file: ProfileFile,
    profiles: Profiles,
    log: Path,
    *,
    invite: str = "",
) -> SecureChatError | None:
    """Run the full-screen client on this terminal; return why no network is there at its end, if
    not by the user's wish.

    Blocks. All clients are closed when it returns.

    :param invite: an invite link, which is followed first.
    :param log: takes what is written to the standard error meanwhile; what it had is lost.
    """
    clients: list[Client] = []

    def make(opening: Opening, wake: Callable[[], None]) -> Client:
        client = make_client(opening, wake)
        clients.append(client)
        return client

    app = ChatApp(
        openings,
        make,
        file,
        invite=invite,
        theme=profiles.theme,
        notifications=profiles.notifications,
    )
    # Where the environment names a size, Textual believes it, also when the terminal has another.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    # A full collection of the garbage stops all for a tenth of a second when there are many
    # messages: what is loaded by now is left out of it, and it comes seldom.
    gc.freeze()
    gc.set_threshold(700, 10, 1_000)
    try:
        with _standard_error_apart(log), _signals(app), _hang_up(app):
            app.run()
        return None if any(client.online for client in clients) else app.error
    finally:
        farewells = {network.client: network.chat.farewell for network in app.networks}
        for client in clients:
            client.close(farewells.get(client, FAREWELL))


@contextlib.contextmanager
def _standard_error_apart(log: Path) -> Iterator[None]:
    """Have the screen to itself.

    Textual draws on ``sys.__stderr__``. Libraries in C (that of UPnP is one) write their complaints
    to the same file descriptor, in the middle of the screen.
    """
    before = sys.__stderr__
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        target = os.open(os.devnull, os.O_WRONLY)
    screen = os.dup(2)
    os.dup2(target, 2)
    os.close(target)
    try:
        with open(screen, "w", encoding="utf-8", errors="replace", closefd=False) as drawn:
            sys.__stderr__ = drawn  # type: ignore[misc]
            yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
        os.dup2(screen, 2)
        os.close(screen)


@contextlib.contextmanager
def _hang_up(app: ChatApp) -> Iterator[None]:
    """Leave when the terminal is gone. Nobody need have told that by a signal, and Textual would go
    on to read from it, without end.
    """
    if not hasattr(select, "poll"):  # Windows
        yield
        return
    ending, end = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(sys.stdin.fileno(), 0)  # for nothing but its end
        poll.register(ending, select.POLLIN)
        if all(descriptor != ending for descriptor, _events in poll.poll()):
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                app.call_from_thread(app.leave)

    thread = start_thread("terminal", watch)
    try:
        yield
    finally:
        os.write(end, b"\0")
        thread.join()
        os.close(ending)
        os.close(end)


@contextlib.contextmanager
def _signals(app: ChatApp) -> Iterator[None]:
    """Leave in good order when the process is asked to end, or the terminal is gone."""

    def leave(number: int, frame: FrameType | None) -> None:
        # From a thread of its own: Textual wakes up for other threads, not for a signal.
        start_thread("leave", lambda: app.call_from_thread(app.leave), daemon=True)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
