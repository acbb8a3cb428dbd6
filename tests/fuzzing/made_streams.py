"""Streams that are nearly right, made up: records of peers, the first message of TLS."""

from __future__ import annotations

import json
from random import Random

__all__ = ["make_hello", "make_records"]


def _record(kind: int, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + bytes((kind,)) + body


def make_records(random: Random) -> bytes:
    """Some records one behind the other, some of them not quite right."""
    values = {
        "versions": [1], "version": 1, "me": "0" * 32, "you": "", "received": 3, "reason": "no",
        "n": 1, "id": "x", "kind": "message", "text": "hello", "time_ms": 1, "file": 1,
        "name": "a/b.txt", "size": 10, "modified_ns": 1, "offset": 0, "prefix": "",
        "sha256": "a" * 64, "state": "done",
    }  # fmt: skip
    odd = (
        2**63,
        -1,
        True,
        None,
        "\ud800",
        "é" * 40,
        "con.txt",
        ["x"],
        1.5,
        "../../x",
        "a\u202etxt",
    )
    parts = [random.randbytes(1)]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kind = random.choice((1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 32, 33, 128, 129, 99))
        if kind in (32, 33):
            body = random.randbytes(random.choice((15, 16, 17, 40)))
            body = b"\0" * 7 + body[7:]
        else:
            said = dict(values)
            if random.random() < 0.5:
                said[random.choice([*values])] = random.choice(odd)
            body = json.dumps(said).encode()
        record = _record(kind, body)
        parts.append(record[: -random.randint(1, 9)] if random.random() < 0.1 else record)
    return b"".join(parts)


def make_hello(random: Random) -> bytes:
    """A ClientHello that may be right, in one record or in several."""

    def sized(width: int, data: bytes) -> bytes:
        wrong = random.random() < 0.03
        return (len(data) + wrong * random.randrange(9)).to_bytes(width, "big") + data

    names = [random.choice((b"irc", b"http/1.1", b"", b"\xff")) for _ in range(random.randrange(4))]
    host = random.choice((b"chat.example.org", b"LOCALHOST", b"", b"\xe4"))
    extensions = [
        b"\x00\x10" + sized(2, sized(2, b"".join(sized(1, name) for name in names))),
        b"\x00\x00" + sized(2, sized(2, b"\x00" + sized(2, host))),
        random.randbytes(2) + sized(2, random.randbytes(random.randrange(6))),
    ]
    random.shuffle(extensions)
    hello = b"\x03\x03" + bytes(32) + sized(1, b"") + sized(2, b"\x13\x01") + sized(1, b"\x00")
    hello += sized(2, b"".join(extensions[: random.randint(0, 3)]))
    message = b"\x01" + sized(3, hello)
    cut = random.randrange(1, len(message)) if random.random() < 0.4 else len(message)
    records = [b"\x16\x03\x01" + sized(2, part) for part in (message[:cut], message[cut:]) if part]
    return random.randbytes(1) + b"".join(records)
