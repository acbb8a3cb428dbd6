"""Nothing that a client sends is a bug's answer: every command, with parameters of every kind.

A handler that fails is logged as an error, which ``start_relay`` does not forgive.
"""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securechat import pki
from securechat.irc.peering import announce
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client

DEVICE = pki.make_device().certificate.public_bytes(Encoding.DER)

LEFT_OUT = frozenset({"QUIT", "WEBIRC", "DEVICES", "KILL", "RESTART"})
"""What ends a session."""

CAPS = (
    "message-tags",
    "batch",
    "labeled-response",
    "echo-message",
    "server-time",
    "standard-replies",
    "draft/multiline",
    "draft/chathistory",
    "draft/event-playback",
    "draft/message-redaction",
    "draft/metadata-2",
    "draft/read-marker",
    "draft/channel-rename",
    "securechat/peer",
    "soju.im/search",
)

WORDS = (
    *("", ":", "::", ":a b", " ", "*", "?", "**", "#", "#x", "#room", "#room,#x,,#ROOM", "@#room"),
    *("+@#room", "ann", "bob", "ann,bob,,eve", "*ALL", "ann!*@*", "a:", "m:", "m:a:", "m:m:x", "+"),
    *("-", "+o", "-o", "+b", "+beI", "+k", "-k", "+l", "+ntimsCRM", "-q", "+qaohv", "+:", "0", "1"),
    *("-1", "99999999999999999999", "²", "٣", "+l ²", "u", "%tcuihsnfdlaor,42", "%", "o%a,1234"),
    *("timestamp=", "timestamp=2023-11-14T22:13:20.250Z", "timestamp=9999-12-31T23:59:60.999Z"),
    *("timestamp=0001-01-01T00:00:00.000Z", "msgid=", "msgid=x", "text=a\\r\\n;in=#room", 'text="'),
    *("in=", "from=;limit=0", "limit=²", "before=x", "GET", "LIST", "SET", "CLEAR", "SUB", "UNSUB"),
    *("SUBS", "SYNC", "avatar", "INFO", "RANKS", "RANK", "CLAIM", "TRANSFER", "DROP", "ADD"),
    *("REMOVE", "always-on", "on", "off", "second-factor", "BEFORE", "AFTER", "LATEST", "AROUND"),
    *(
        "BETWEEN",
        "TARGETS",
        "LS",
        "REQ",
        "302",
        "END",
        "ÅÄ",
        "🦆" * 40,
        "x" * 300,
        "\x01VERSION\x01",
    ),
    *("ANNOUNCE", "RETRACT", "LOOKUP", "OFFER", "ANSWER", "CANDIDATES", "TUNNEL", "WITHDRAW"),
    *("0" * 32, "0" * 32, "F" * 32, "1.2.3.4:5", "1.2.3.4:5 [::1]:6", "[::1]:0", "[:5", ":5"),
    *("\x1b[31m", "‮abc", "PLAIN", "+r type", "C", "S", "L", "a" * 64, "<5", "C>1", "!*", ">²"),
)


def hostile_line(random: random.Random, commands: list[str]) -> str:
    command = random.choice(commands)
    params = random.choices(WORDS, k=random.randrange(7))
    middle = [word.replace(" ", "") for word in params[:-1]]
    last = params[-1] if params else ""
    if random.random() < 0.5:
        last = last.replace(" ", "")
    elif params:
        last = f":{last}"
    tags = random.choice(
        ("", "", "", "@label=x ", "@label=;+x=\\: ", "@batch=r ", "@+a;+draft/x=1 ")
    )
    return tags + " ".join(word for word in (command, *middle, last) if word)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("casemapping", ["ascii", "precis"])
def test_no_line_makes_a_command_fail(start_relay: StartRelay, seed: int, casemapping: str) -> None:
    if casemapping == "precis":
        pytest.importorskip("precis_i18n")
    relay = start_relay(server={"casemapping": casemapping}, limits={"input_queue_bytes": 10**7})
    commands = sorted(relay.relay.services.commands.keys() - LEFT_OUT)
    clients: list[Client] = [
        relay.account("ann", *CAPS),
        relay.join("bob", *CAPS),
        relay.join("eve"),
    ]
    for client in clients:
        client.send("JOIN #room", announce(DEVICE).to_line())
        client.sync()
    chance = random.Random(seed)
    for _ in range(12):
        for client in clients:
            lines = [hostile_line(chance, commands) for _ in range(60)]
            client.send(*lines)
        for client in clients:
            client.sync()
