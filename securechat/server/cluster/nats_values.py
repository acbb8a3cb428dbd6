"""What NATS is told, and what it says, as values. Nothing here needs its library.

Only ``nats_stream`` does: who merely looks at what came from it imports this.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Final, NamedTuple

from securechat.errors import ConfigError, NetworkError, SecureChatError
from securechat.server.config import ClusterConfig

__all__ = [
    "EVENT_BYTES",
    "Inspection",
    "Link",
    "Received",
    "StreamCut",
    "StreamInfo",
    "StreamSize",
    "connect_options",
    "places_in",
    "stream_info",
]

EVENT_BYTES: Final = 131_072
"""Largest event: a message of many lines, with tags, is some 40 KiB as JSON."""


class StreamCut(SecureChatError):
    """The stream has not all the events that this relay would have to apply next."""


class Received(NamedTuple):
    """An event of the stream, with its number there and its time, in nanoseconds since 1970."""

    sequence: int
    at_ns: int
    subject: str
    id: str
    data: bytes


class StreamInfo(NamedTuple):
    """A stream: what no other has (when it was made), and the numbers of its first and last event.

    Of an empty one ``first`` is ``last + 1``. ``full`` is how much it holds of what it may, 0 to 1.
    """

    made: str
    first: int
    last: int
    full: float


class Link(NamedTuple):
    """How things stand: whether the stream answers, and what it is called that it does not."""

    up: bool
    why: str


class StreamSize(NamedTuple):
    """How large a stream is, and on how many servers, of which ``lacking`` are not up to date."""

    bytes: int
    most_bytes: int
    replicas: int
    lacking: int


class Inspection(NamedTuple):
    """What NATS says of itself.

    ``answer_s`` is how long it takes to answer, ``ahead_s`` by how much its clock is ahead of ours,
    in seconds. Without JetStream, or without the stream, there is less.
    """

    version: str
    answer_s: float
    jetstream: bool
    stream: StreamSize | None = None
    ahead_s: float | None = None


def connect_options(config: ClusterConfig) -> dict[str, Any]:
    """Return how the servers are to be trusted, and how they know us. Does file I/O."""
    options: dict[str, Any] = {}
    try:
        if any(url.startswith("tls:") for url in config.nats):
            options["tls"] = ssl.create_default_context(cafile=config.ca)
        if config.credentials is not None:
            _readable(config.credentials)
            options["user_credentials"] = str(config.credentials)
        elif config.user:
            options["user"] = config.user
            if config.password_file is not None:
                options["password"] = _readable(config.password_file).partition("\n")[0].strip()
    except (OSError, ValueError) as error:
        raise ConfigError([f"[cluster]: {error}"]) from error
    return options


def _readable(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def stream_info(answer: bytes) -> StreamInfo:
    """Return what JetStream answers of a stream. Raises ``NetworkError`` if it is an error."""
    read = json.loads(answer)
    if "error" in read:
        error = read["error"].get("description", "no answer")
        raise NetworkError("NATS: {error}", error=error)
    state = read["state"]
    last = int(state["last_seq"])
    most = int(read["config"]["max_bytes"])  # -1: no limit
    full = int(state["bytes"]) / most if most > 0 else 0.0
    return StreamInfo(str(read["created"]), int(state["first_seq"]) or 1, last, full)


def places_in(reply: str) -> tuple[int, int, int, int]:
    """Return what the reply subject of an event says: its number in the stream and among those
    delivered, its time, and how many are to follow.

    ``$JS.ACK.<stream>.<consumer>.<attempts>.<number>.<number of delivery>.<time>.<pending>``, or
    with a domain and an account in front.
    """
    words = reply.split(".")
    start = 5 if len(words) < 11 else 7
    sequence, delivered, at_ns, pending = map(int, words[start : start + 4])
    return sequence, delivered, at_ns, pending
