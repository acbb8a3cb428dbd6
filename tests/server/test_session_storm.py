"""Devices that come, ask and vanish at any moment: what waits for one of them must not outlive it.

Logins, registrations, the history, long answers and acknowledgements all *hold* a session, or wait
in it; here others kill it meanwhile, or it is simply gone. Errors in the log fail the test
(``start_relay``).
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securechat import pki
from securechat.irc.peering import announce
from securechat.irc.sasl import plain_response
from tests.properties.test_network_properties import (
    LIMITS,
    check_channels,
    check_metadata,
    check_monitors,
    check_users,
)
from tests.properties.test_peer_properties import check_peers
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Client, Closed, RunningRelay

CAPS = (
    *("sasl", "message-tags", "batch", "labeled-response", "echo-message", "draft/multiline"),
    *("draft/chathistory", "draft/event-playback", "draft/message-redaction", "draft/metadata-2"),
    *("draft/read-marker", "draft/channel-rename", "soju.im/search", "securechat/peer"),
)

PEER_LINES = """
PEER LIST
PEER LOOKUP ann
PEER OFFER ann * 00000000000000000000000000000000
PEER OFFER bob * 11111111111111111111111111111111
PEER ANSWER 00000000000000000000000000000000
PEER ANSWER 11111111111111111111111111111111
PEER CANDIDATES 00000000000000000000000000000000 :192.0.2.1:5000
PEER TUNNEL 11111111111111111111111111111111
PEER WITHDRAW 00000000000000000000000000000000
PEER RETRACT
""".strip().splitlines()

DEVICE = pki.make_device().certificate.public_bytes(Encoding.DER)

LINES = """
JOIN #a,#b
JOIN #c
PART #a,#b,#c :bye
@label=1 PRIVMSG #a,#b :hello
PRIVMSG ann :hello
NOTICE bob :hello
BATCH +1 draft/multiline #a
@batch=1 PRIVMSG #a :one
@batch=1 PRIVMSG #a :two
BATCH -1
@label=2 CHATHISTORY LATEST #a * 50
CHATHISTORY TARGETS timestamp=2020-01-01T00:00:00.000Z timestamp=2030-01-01T00:00:00.000Z 9
@label=3 SEARCH text=hello
REDACT #a x
SET always-on on
SET always-on off
CERT LIST
LIST
NAMES #a
@label=4 WHO *
WHOIS ann
MARKREAD #a timestamp=2023-11-14T00:00:00.000Z
DEVICES
METADATA * SET avatar x
METADATA * CLEAR
METADATA * SUB avatar
METADATA *ALL SYNC
MONITOR + ann,bob
MONITOR C
AWAY :gone
AWAY
NICK other
RENAME #b #c
ROOM DROP #a #a
ROOM LIST
MODE #a +b ann
MODE #a -b ann
KICK #a ann
INVITE ann #b
OPER root :wrong
REGISTER * * :wrong
AUTHENTICATE PLAIN
PING x
""".strip().splitlines()

LINES += [*PEER_LINES, *[announce(DEVICE).to_line()] * 5]

CHECKED_LIMITS = {
    key: value for key, value in dataclasses.asdict(LIMITS).items() if key != "always_on"
}

ROUNDS = 150

NICKS = ("ann", "bob", "eve")


def check(relay: RunningRelay) -> None:
    """Check that nothing is left of sessions that have ended, and that all fits together."""
    services = relay.relay.services
    with services.lock:
        network = services.network
        check_users(network)
        check_channels(network)
        check_monitors(network)
        check_metadata(network)
        check_peers(network)
        attached = list(network.sessions)
        assert len(services.registry.find(attached)) == len(attached)


def begin(relay: RunningRelay, chance: random.Random) -> Client:
    """Connect, as an account or a guest; nothing is waited for."""
    client, nick = relay.connect(), chance.choice(NICKS)
    if chance.random() < 0.8:
        response = base64.b64encode(plain_response(nick, PASSWORD)).decode()
        client.send(*(f"CAP REQ {cap}" for cap in CAPS), "AUTHENTICATE PLAIN")
        client.send(f"AUTHENTICATE {response}")
    else:
        nick = f"guest{chance.randrange(5)}"
    client.send(f"NICK {nick}", "USER x 0 * :x", "CAP END")
    return client


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_sessions_leaves_nothing(start_relay: StartRelay, seed: int) -> None:
    relay = with_operator(
        start_relay,
        limits={"sendq_bytes": 10**7, **CHECKED_LIMITS},
        accounts={"failures_per_minute": 0, "login_attempts": 99},
    )
    for nick in NICKS:
        relay.account(nick).quit()
    root = as_operator(relay.join("root"))
    chance = random.Random(seed)
    clients: list[Client] = []
    for _ in range(ROUNDS):
        if len(clients) < 6:
            clients.append(begin(relay, chance))
        client = chance.choice(clients)
        try:
            client.send(*chance.choices(LINES, k=chance.randrange(1, 20)))
        except OSError:
            clients.remove(client)  # it has quit, or was killed
            continue
        match chance.randrange(12):
            case 0:
                clients.remove(client)
                client.vanish()
            case 1:
                root.ask(f"KILL {chance.choice(NICKS)}")
            case 2:
                check(relay)
            case 3 | 4 | 5 | 6:
                with contextlib.suppress(Closed, OSError):
                    client.sync()
            case _:
                pass
    for client in clients:
        client.quit()
    check(relay)
