"""The conversations of the specifications, with those who take part on several relays."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import ssl
from collections import deque
from pathlib import Path

import pytest

from securechat.irc.message import Message
from securechat.server.config_file import load_config
from tests.conversations.conversation import _CONFIG, Conversation, _merged, scripts
from tests.server.cluster.cluster_harness import Relays
from tests.server.relay_harness import Certificates, Client, Closed, RunningRelay

NAMES = ("a", "b")

USUAL = """
always-on chathistory devices labeled-response message-redaction modern-channels monitor
"""
"""Those of most that crosses relays. SECURECHAT_CONVERSATIONS=all is for the others as well."""

OTHERWISE = {
    "metadata",  # what was published before the registration is told when it is in order
    "modern-modes",  # what is refused at once is told before what has to be put in order
    "modern-queries",  # WHOIS tells what the other relay says of itself
    "peer",  # a token says where the tunnel is; it has tests of its own
}
"""Those that go otherwise where there are several relays."""

RELAYS = ("*", "securechat/RELAYS=*", "are supported by this server")
"""The parameters of what is told whenever relays come or go."""

ALL = {path.stem: path for path in scripts() if path.stem not in OTHERWISE}
CHOSEN = sorted(ALL) if os.environ.get("SECURECHAT_CONVERSATIONS") == "all" else USUAL.split()


class Patient(Client):
    """A client that has heard all that its lines have caused before anybody goes on."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._heard: deque[Message] = deque()

    def read(self) -> Message:
        return self._heard.popleft() if self._heard else self._next()

    def _next(self) -> Message:
        while (message := super().read()).command == "005" and len(message.params) == len(RELAYS):
            pass  # as often as relays come and go
        return message

    def listen(self, token: str) -> None:
        """Read until the relay has done what was sent, and keep it for ``read``."""
        heard = []
        with contextlib.suppress(Closed, OSError):
            self.send(f"PING {token}")
            while (message := self._next()).command != "PONG" or message.params[-1] != token:
                heard.append(message)
        self._heard.extend(heard)


class SpreadConversation(Conversation):
    """Plays a script whose people connect to several relays in turn."""

    def __init__(
        self, script: str, relays: Relays, certificates: Certificates, folder: Path
    ) -> None:
        anywhere = script.replace(" securechat.local ", " * ")  # whichever relay it is
        super().__init__(anywhere, certificates.ca_file, folder)
        self._relays = relays
        self._turn = itertools.cycle(NAMES)
        self._tokens = itertools.count(1)

    def _play_line(self, line: str) -> None:
        super()._play_line(line)
        who, _, rest = line.partition(" ")
        client = self._clients.get(who)
        if isinstance(client, Patient) and rest.startswith("-> "):
            client.listen(f"listen-{next(self._tokens)}")
        if self._relays.running and not line.startswith((">", "#")):
            self._let_all_hear()
            self._relays.write_history()

    def _let_all_hear(self) -> None:
        self._relays.catch_up()

    def _open(self, who: str) -> Client:
        relay = self._relays.running[next(self._turn)]
        client = Patient(relay.connect().sock)
        self._clients[who] = client
        return client

    def _start_relay(self) -> None:
        changes = [line.removeprefix("config:") for line in self._lines if line[:7] == "config:"]
        for name in NAMES:
            base = self._relays.config(name)
            path = self._folder / f"{name}.toml"
            path.write_text(_merged(_CONFIG.splitlines(), changes), encoding="utf-8")
            config = load_config(path)
            made = dataclasses.replace(
                config,
                server=dataclasses.replace(
                    config.server, listen=base.server.listen, io_threads=2
                ),
                tls=dataclasses.replace(
                    config.tls, certificate=base.tls.certificate, key=base.tls.key
                ),
                store=base.store,
                cluster=base.cluster,
            )  # fmt: skip
            self._relays.running[name] = RunningRelay(made, self._relays.certificates)

    def _restart(self) -> None:
        for client in self._clients.values():
            client.sock.close()
        self._clients.clear()
        for name in NAMES:
            self._relays.kill(name)
        self._turn = itertools.cycle(NAMES)
        self._start_relay()


@pytest.mark.parametrize("name", CHOSEN)
def test_conversation(
    name: str, relays: Relays, relay_certificates: Certificates, tmp_path: Path
) -> None:
    SpreadConversation(ALL[name].read_text("utf-8"), relays, relay_certificates, tmp_path).play()
    relays.settle()
