"""A restart changes nothing, whether it was in order or after a kill -9."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securechat import pki
from securechat.invite_link import parse_invite_link
from securechat.irc import numerics, peering
from securechat.irc.message import Message
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.e2e.children import TIMEOUT_S, RelayProcess, run_relay, script
from tests.e2e.real_clients import connect
from tests.server.relay_harness import NAME, PASSWORD, Client, commands, short

CONFIG = f"""
[server]
name = "{NAME}"
[accounts]
argon2_memory_kib = 8192
argon2_iterations = 1
failures_per_minute = 0
registration = "invite"
[limits]
commands_per_s = 0
[[operators]]
name = "root"
password_hash = "{{hash}}"
"""

CAPS = (
    "batch",
    "message-tags",
    "server-time",
    "draft/chathistory",
    "draft/event-playback",
    "draft/metadata-2",
    "draft/read-marker",
    "securechat/peer",
    "standard-replies",
    "draft/account-registration",
)

FINGERPRINT = "ab" * 32

QUESTIONS = (
    "NAMES #den",
    "WHO #den",
    "MODE #den",
    "MODE #den b",
    "MODE #den e",
    "MODE #den I",
    "TOPIC #den",
    "LIST",
    "ROOM LIST",
    "ROOM INFO #den",
    "ROOM RANKS #den",
    "ROOM HISTORY #den",
    "NAMES #empty",
    "ROOM INFO #empty",
    "CHATHISTORY LATEST #den * 50",
    "CHATHISTORY LATEST bob * 50",
    "MARKREAD #den",
    "MARKREAD bob",
    "METADATA #den LIST",
    "METADATA * LIST",
    "WHOIS bob",
    "SET",
    "CERT LIST",
    "PEER LOOKUP bob",
    "PEER LOOKUP ann",
    "KLINE",
    "DLINE",
)
"""What ann, who owns the room and is an operator, asks before and after."""

NEW = (numerics.RPL_WHOISIDLE, numerics.RPL_WHOISACTUALLY)
"""Of somebody who is always on: when they came, and from where, was before the restart."""


class Place:
    """Where a relay is stopped and started."""

    def __init__(self, ca: Path, folder: Path) -> None:
        self._ca = ca
        self._data = folder / "data"
        self._config = folder / "relay.toml"
        hashed = hash_password("operator", Argon2Parameters(8_192, 1, 1))
        self._config.write_text(CONFIG.format(hash=hashed))

    @contextlib.contextmanager
    def relay(self) -> Iterator[RelayProcess]:
        flags = ("--config", str(self._config))
        with run_relay(self._ca, self._data, *flags) as running:
            yield running

    def tool(self, *arguments: str) -> str:
        flags = ("--config", str(self._config), "--data", str(self._data))
        return subprocess.run(
            [script("securechat-server"), *flags, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        ).stdout


@contextlib.contextmanager
def client_of(relay: RelayProcess) -> Iterator[Client]:
    client = connect(relay)
    with contextlib.closing(client.sock):
        yield client


@contextlib.contextmanager
def logged_in(relay: RelayProcess, name: str) -> Iterator[Client]:
    with client_of(relay) as client:
        client.request("sasl", *CAPS)
        assert "903" in commands(client.authenticate_plain(name))
        yield client.register(name)


def register(relay: RelayProcess, name: str, invite: str) -> str:
    """Try to make an account; return what was answered."""
    with client_of(relay) as client:
        client.request(*CAPS)
        client.send(f"NICK {name}", f"REGISTER * {invite} :{PASSWORD}")
        while (message := client.read()).params[:1] not in (("SUCCESS",), ("REGISTER",)):
            pass
        client.quit()
    return message.params[0] if message.command == "REGISTER" else message.params[1]


def done(client: Client, *lines: str) -> None:
    """Say ``lines``, none of which is refused."""
    answers = client.ask(*lines)
    assert not [line for line in answers if line.split(" ")[0] == "FAIL" or line[:1] in "45"]


def device() -> bytes:
    """Return a certificate as the peer of a client has it."""
    return pki.make_device().certificate.public_bytes(Encoding.DER)


def live(place: Place, relay: RelayProcess) -> str:
    """Have people do all that lasts, and go; return the code of an invite for one more."""
    link = place.tool("invite", "--uses", "5").split()[0]
    invite = f"invite:{parse_invite_link(link).token}"
    for name in ("ann", "bob", "carl", "dora"):
        assert register(relay, name, invite) == "SUCCESS"
    with logged_in(relay, "ann") as ann, logged_in(relay, "bob") as bob:
        done(ann, "SET always-on on", "JOIN #empty", "PART #empty")
        # Whoever makes a room is shown as its founder when they come again, as after a restart.
        done(ann, "JOIN #den", "PART #den", "JOIN #den")
        done(bob, "SET always-on on", "JOIN #den")
        done(ann, "TOPIC #den :all about dens", "MODE #den +ml 20", "MODE #den +b evil!*@*")
        done(ann, "MODE #den +eI good!*@* friend!*@*", "MODE #den +o bob", "ROOM RANK #den dora +v")
        done(ann, "ROOM HISTORY #den 30", f"CERT ADD {FINGERPRINT}", "SET second-factor off")
        done(ann, "METADATA #den SET website :https://example.org/", "METADATA * SET color :#f80")
        done(ann, "PRIVMSG #den :one", "PRIVMSG bob :psst")
        done(bob, "PRIVMSG #den :two", "PRIVMSG ann :what?", peering.announce(device()).to_line())
        done(ann, "MARKREAD #den timestamp=2030-01-01T00:00:00.000Z")
        done(ann, "MARKREAD bob timestamp=2030-01-02T00:00:00.000Z")
        done(ann, peering.announce(device()).to_line(), "OPER root operator")
        done(
            ann, "KLINE 1d dora!*@* :was bad", "KLINE worse!*@* :is worse", "DLINE 1w 192.0.2.0/24"
        )
        bob.quit()
        ann.quit()
    place.tool("account", "suspend", "carl", "--reason", "a rest")
    return invite


def seen_by_ann(relay: RelayProcess) -> dict[str, list[str]]:
    with logged_in(relay, "ann") as ann:
        assert "381" in commands(ann.ask("OPER root operator"))
        found = {
            line: [told(message) for message in ann.collect(line) if message.command not in NEW]
            for line in QUESTIONS
        }
        ann.quit()
    return found


def told(message: Message) -> str:
    """Return a message with the tags that are of what it tells, not of the telling."""
    tags = message.tags if "msgid" in message.tags else {}
    kept = sorted(f"{key}={value}" for key, value in tags.items() if key != "batch")
    words = short(message).split(" ")
    if words[0] == "BATCH":
        words[1] = words[1][0]
    return " ".join([*kept, *words])


def check_who_gets_in(relay: RelayProcess, invite: str) -> None:
    """Check bans, a suspended account, and that the invite is for one more."""
    with client_of(relay) as dora, client_of(relay) as carl:
        for client in (dora, carl):
            client.request("sasl")
        assert "903" in commands(dora.authenticate_plain("dora"))
        dora.send("NICK dora", "USER dora 0 * :Dora", "CAP END")
        assert "465" in commands(dora.read_to_end())
        assert carl.authenticate_plain("carl")[0] == "902 * :This account is suspended: a rest"
    assert [register(relay, name, invite) for name in ("erik", "fred")] == [
        "SUCCESS",
        "INVALID_EMAIL",
    ]


def stop(relay: RelayProcess) -> None:
    assert relay.stop() == 0


def kill(relay: RelayProcess) -> None:
    relay.process.send_signal(signal.SIGKILL)
    assert relay.process.wait(TIMEOUT_S) == -signal.SIGKILL


@pytest.mark.parametrize("end", [stop, kill])
def test_all_is_as_before(ca: Path, tmp_path: Path, end: Callable[[RelayProcess], None]) -> None:
    place = Place(ca, tmp_path)
    with place.relay() as relay:
        invite = live(place, relay)
        before = seen_by_ann(relay)
        end(relay)
    with place.relay() as relay:
        assert seen_by_ann(relay) == before
        check_who_gets_in(relay, invite)
        end(relay)
    with place.relay() as relay:  # what was read at the start is not written again, or lost
        assert seen_by_ann(relay) == before
        end(relay)
