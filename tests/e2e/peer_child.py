"""A client that knows of peers, as a program: driven, and telling what happens, by JSON lines.

::

    stdin    {"call": "peers.send", "args": ["bob", "hello"], "kwargs": {}}   a method of ``Client``
    stdout   {"answer": 7}                                                 what it has returned, or
             {"error": "LocalProtocolError", "text": "…"}
    stdout   {"event": "PeerOpened", "account": "bob", …}                  what the client tells

It ends, in good order, with its standard input.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import operator
import sys
import threading
from pathlib import Path
from typing import Any, Final

from securechat.client import Client, PeerSettings, SecureChatError, Timing
from securechat.net.threads import start_thread
from securechat.peer.known_peers import Policy

QUICK: Final = Timing(retry_first_s=0.05, retry_most_s=0.5, close_s=1.0)
"""A test restarts the relay, and does not want to wait for its clients."""

TYPES: Final = {"policy": Policy, "path": Path, "folder": Path}
"""What JSON has no type for, by the names of the arguments."""


def main() -> None:
    options = parse_options()
    for change in options.set:
        change_constant(change)
    client = Client(
        options.host,
        options.port,
        nick=options.nick,
        password=options.password,
        ca=options.ca,
        peers=PeerSettings(
            options.folder,
            options.folder / "downloads",
            allow_loopback=options.allow_loopback,
            upnp=options.upnp,
        ),
        timing=QUICK,
    )
    lines = Lines()
    client.start()
    events = start_thread("events", lambda: tell_events(client, lines))
    for line in sys.stdin:
        lines.say(do_call(client, json.loads(line)))
    client.close()
    events.join()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--host", required=True)
    add("--port", type=int, required=True)
    add("--ca", type=Path, required=True)
    add("--nick", required=True)
    add("--password", help="of the account that is called like the nick")
    add("--folder", type=Path, required=True, help="of the device; for received files, downloads/")
    add("--allow-loopback", action="store_true")
    add("--upnp", action="store_true")
    add("--set", action="append", default=[], metavar="MODULE:CONSTANT=NUMBER")
    return parser.parse_args()


def change_constant(change: str) -> None:
    """Change a named number of the product: nobody wants to wait as long in a test as people do."""
    module, _, rest = change.partition(":")
    name, _, value = rest.partition("=")
    owner = importlib.import_module(module)
    setattr(owner, name, type(getattr(owner, name))(value))


class Lines:
    """The standard output. Safe from any thread: a line is written whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, content: dict[str, Any]) -> None:
        with self._lock:
            print(json.dumps(content, default=plain), flush=True)


def plain(value: object) -> object:
    """Return what JSON can say of a value: the fields of a dataclass, else its text."""
    return fields_of(value) if dataclasses.is_dataclass(value) else str(value)


def fields_of(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def tell_events(client: Client, lines: Lines) -> None:
    for event in client:
        lines.say({"event": type(event).__name__, **fields_of(event)})


def do_call(client: Client, call: dict[str, Any]) -> dict[str, Any]:
    kwargs = {
        name: TYPES[name](value) if name in TYPES else value
        for name, value in call["kwargs"].items()
    }
    try:
        return {"answer": operator.attrgetter(call["call"])(client)(*call["args"], **kwargs)}
    except SecureChatError as error:
        return {"error": type(error).__name__, "text": str(error)}


if __name__ == "__main__":
    main()
