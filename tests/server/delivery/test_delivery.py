"""Who gets the lines of a room: the groups that are kept must be those one would make anew."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from securechat.server.delivery.delivery import _share
from securechat.server.delivery.lines import Line, Lines, MultilineMessage, server_time
from securechat.server.events import Stamp
from securechat.server.state import Author
from tests.server.relay_harness import RunningRelay

STAMP, AUTHOR = Stamp(1, 0, "id"), Author("ann!a@h", None)
SAMPLES: dict[type[Lines], Lines] = {
    Line: Line(STAMP, AUTHOR, "PRIVMSG #a :x"),
    MultilineMessage: MultilineMessage(STAMP, AUTHOR, "PRIVMSG #a", "#a", []),
}


def check_groups(relay: RunningRelay) -> int:
    """Fail if what is kept for a channel is not what is true now; return for how many it is."""
    services = relay.relay.services
    delivery = services.delivery
    with services.lock:
        kept = delivery._shares
        for channel, by_kind in kept.items():
            assert services.network.find_channel(channel.name) is channel, "kept for a dead channel"
            for kind, groups in by_kind.items():
                anew = _share(delivery.members(channel), SAMPLES[kind])
                assert set(groups) == set(anew), channel.name
        return len(kept)


def test_what_is_kept_for_a_channel_follows_every_change(relay: RunningRelay) -> None:
    """Each step is followed by messages, for which the groups are made, or used as they are."""
    speaker = relay.join("speaker")
    speaker.ask("JOIN #a", "JOIN #b")
    alice = relay.account("alice", "sasl")
    bob = relay.join("bob", "server-time")

    def speak() -> None:
        speaker.ask("PRIVMSG #a :hello", "PRIVMSG #b :hello")
        assert check_groups(relay) == 2

    speak()
    for client, line in (
        (alice, "JOIN #a,#b"),
        (bob, "JOIN #a"),
        (bob, "CAP REQ :account-tag message-tags"),
        (bob, "CAP REQ :-server-time"),
        (alice, "NICK alison"),
        (alice, "NICK alice"),
        (bob, "AWAY :out"),
        (bob, "PART #a"),
        (bob, "JOIN #b"),
        (speaker, "KICK #b bob"),
        (bob, "JOIN #a,#b"),
    ):
        client.ask(line)
        check_groups(relay)
        speak()
    phone = relay.login("alice", "server-time", "message-tags")
    check_groups(relay)
    speak()
    assert [line for line in phone.seen() if "PRIVMSG" in line] == [
        ":speaker PRIVMSG #a hello",
        ":speaker PRIVMSG #b hello",
    ]
    phone.ask("CAP REQ :-server-time")
    check_groups(relay)
    speak()
    phone.quit()
    check_groups(relay)
    speak()
    for client in (bob, alice):
        client.quit()
        check_groups(relay)
        speak()
    speaker.quit()
    assert check_groups(relay) == 0


def test_what_matters_to_long_messages_only_parts_no_others(relay: RunningRelay) -> None:
    ann = relay.join("ann", "batch", "draft/multiline", "message-tags")
    others = [relay.join("bob", "message-tags"), relay.join("carl", "message-tags", "batch")]
    for client in (ann, *others):
        client.ask("JOIN #a")
    ann.ask("PRIVMSG #a :x")
    ann.ask(
        *("BATCH +1 draft/multiline #a", "@batch=1 PRIVMSG #a :y", "@batch=1 PRIVMSG #a :z"),
        "BATCH -1",
    )
    check_groups(relay)
    (kept,) = relay.relay.services.delivery._shares.values()
    assert len(kept[Line]) <= len(relay.relay._threads)
    assert len({look for share in kept[Line] for look in share.looks}) == 1
    assert len({look for share in kept[MultilineMessage] for look in share.looks}) == 2
    for client in others:
        assert [line for line in client.seen() if "PRIVMSG" in line] == [
            *(":ann PRIVMSG #a x", ":ann PRIVMSG #a y", ":ann PRIVMSG #a z")
        ]


def test_each_member_gets_a_message_once_and_in_one_order(relay: RunningRelay) -> None:
    capabilities = [(), ("server-time",), ("message-tags", "account-tag"), ("echo-message",)]
    clients = [relay.join(f"c{n}", *names) for n, names in enumerate(capabilities * 2)]
    for client in clients:
        client.ask("JOIN #a")
    for client in clients:
        client.seen()
    for number in range(5):
        for client in clients:
            client.send(f"PRIVMSG #a :{client.nick} {number}")
    # Each has had all that was said before it asks: its own PONG comes last.
    heard = [client.seen() for client in clients]
    heard = [[*lines, *client.seen()] for client, lines in zip(clients, heard, strict=True)]
    said = {f":{client.nick} PRIVMSG #a :{client.nick} {n}" for client in clients for n in range(5)}
    for client, lines in zip(clients, heard, strict=True):
        own = {line for line in said if line.startswith(f":{client.nick} ")}
        echoes = client.nick in ("c3", "c7")
        assert len(lines) == len(set(lines))
        assert set(lines) == (said if echoes else said - own)
    # But an echo may come later than what others have said since: it waits for the store.
    others = [
        [line for line in lines if not line.startswith(f":{client.nick} ")]
        for client, lines in zip(clients, heard, strict=True)
    ]
    for some in others:
        for more in others:
            assert [line for line in some if line in more] == [
                line for line in more if line in some
            ]
    for client, lines in zip(clients, heard, strict=True):
        own = [line for line in lines if line.startswith(f":{client.nick} ")]
        assert own == sorted(own)


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_318_000_000_007, "2011-10-07T15:06:40.007Z"),
        (951_782_400_999, "2000-02-29T00:00:00.999Z"),
    ],
)
def test_server_time(at_ms: int, text: str) -> None:
    """The specification: "YYYY-MM-DDThh:mm:ss.sssZ"."""
    assert server_time(at_ms) == text
    seconds = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp()
    assert round(seconds * 1000) == at_ms
