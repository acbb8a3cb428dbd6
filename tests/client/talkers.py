"""People at the line interface, with real clients that know of peers, on a real relay."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime
from pathlib import Path

from securechat.client import Client, PeerSettings, Timing
from securechat.client.lines.line_mode import LineMode
from tests.server import relay_harness
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay

NOON = datetime(2026, 1, 2, 12, 0)
QUICK = Timing(retry_first_s=0.05, retry_most_s=0.5, close_s=1.0)
"""Nobody wants to wait for a client to come back as long in a test as people do."""


class Talker:
    """Somebody at a terminal. Owned by the test's thread.

    Each look for a line begins behind the last one that was found.
    """

    def __init__(
        self, relay: RunningRelay, name: str, folder: Path, password: str | None = PASSWORD
    ) -> None:
        self.name = name
        self.folder = folder
        self.downloads = folder / "downloads"
        self.lines: list[str] = []
        self._found = 0
        self._tokens = itertools.count()
        self._news = threading.Event()
        self.client = Client(
            "localhost",
            relay.address[1],
            nick=name,
            password=password,
            ca=relay.certificates.ca_file,
            peers=PeerSettings(folder, self.downloads, allow_loopback=True),
            interactive=True,
            on_event=self._news.set,
            timing=QUICK,
        )
        self.ui = LineMode(self.client, channels=["#room"], clock=lambda: NOON)

    def connect(self) -> Talker:
        """Come onto the relay; when this returns, others can reach us as a peer."""
        self.client.start()
        self.wait_for("welcome to")
        self.sync()
        return self

    def sync(self) -> None:
        """Wait until the relay has done all that was said up to now."""
        token = f"sync-{next(self._tokens)}"
        self.client.command("PING", token)
        self.wait_for(token)

    def type(self, line: str) -> list[str]:
        """Type a line; return what is shown at once."""
        self.ui.handle_line(line)
        return self._take()

    def wait_for(self, text: str) -> str:
        """Return the next line that has ``text`` in it."""
        while True:
            found = [i for i in range(self._found, len(self.lines)) if text in self.lines[i]]
            if found:
                self._found = found[0] + 1
                return self.lines[found[0]]
            assert self._news.wait(LONG_TIMEOUT_S), (
                f"{self.name} waits for {text!r}; there came {self.lines[self._found :]}"
            )
            self._news.clear()
            self.ui.handle_events()
            self._take()

    def close(self) -> None:
        self.client.close()

    def _take(self) -> list[str]:
        shown = self.ui.take_output()
        self.lines += shown
        return shown


def open_session(asker: Talker, asked: Talker) -> None:
    """Have a session between the two, who were shown that it is open."""
    asker.type(f"/peer {asked.name}")
    asked.wait_for(f"{asker.name} (account {asker.name}) asks for a session")
    asked.type("/accept")
    for one, other in ((asker, asked), (asked, asker)):
        one.wait_for(f"* session with {other.name}")


def until_reachable(watcher: relay_harness.Client, name: str) -> None:
    """Wait until somebody can be reached as a peer.

    :param watcher: logged in, with ``securechat/peer`` and ``message-tags``.
    """
    while not any(
        message.params[:2] == ("DEVICE", name) and message.params[4] == "+"
        for message in watcher.collect(f"PEER LOOKUP {name}")
    ):
        pass
