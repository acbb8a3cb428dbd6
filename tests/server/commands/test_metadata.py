"""METADATA (the conversation with the specification is in tests/conversations/metadata.txt)."""

from __future__ import annotations

import pytest

from securechat.server.metadata import SYNC_MEMBERS
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, FakeClock, RunningRelay, commands

CAPS = ("draft/metadata-3", "batch", "standard-replies")


def inside(client: Client, line: str, kind: str = "metadata") -> list[str]:
    """Return what comes in the one batch that answers ``line``, as short lines without nick."""
    start, *found, end = client.collect(line)
    assert start.command == end.command == "BATCH"
    assert start.params[1] == kind
    assert all(m.tags["batch"] == start.params[0][1:] for m in found)
    return [" ".join((m.command, *m.params[1:])) for m in found]


@pytest.mark.parametrize("name", ["draft/metadata-2", "draft/metadata-3"])
def test_both_names(relay: RunningRelay, name: str) -> None:
    client = relay.connect()
    offered = " ".join(client.ask("CAP LS 302"))
    assert f"{name}=before-connect,max-subs=100,max-keys=50,max-value-bytes=256" in offered
    ann = client.register("ann", name, "batch")
    assert ann.ask("METADATA * SET url :http://x") == ["761 ann ann url * http://x"]


def test_set_get_list(relay: RunningRelay) -> None:
    """ "The response will be a metadata batch containing RPL_KEYVALUE, RPL_KEYNOTSET, FAIL (…) for
    every key in order." """
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    assert ann.ask("METADATA * SET url :a b", "METADATA ANN SET avatar x") == [
        "761 ann ann url * :a b",
        "761 ann ann avatar * x",
    ]
    assert inside(bob, "METADATA ann GET avatar $no colour") == [
        "761 ann avatar * x",
        "FAIL INVALID_KEY $no No such key can be",
        "766 ann colour Key is not set",
    ]
    assert inside(bob, "METADATA ann LIST") == ["761 ann url * a b", "761 ann avatar * x"]
    assert inside(bob, "METADATA * LIST") == []


def test_delete(relay: RunningRelay) -> None:
    """Setting an empty value, or none, deletes; what was not set is no failure."""
    ann = relay.join("ann", *CAPS)
    gone = "766 ann ann url :Key is not set"
    for line in ("METADATA * SET url", "METADATA * SET url :"):
        ann.ask("METADATA * SET url x")
        assert ann.ask(line) == [gone]
        assert ann.ask(line) == [gone]
    assert inside(ann, "METADATA * LIST") == []


def test_clear(relay: RunningRelay) -> None:
    """One event for each key that was cleared."""
    ann = relay.join("ann", *CAPS)
    ann.ask("METADATA * SET url x", "METADATA * SET avatar y")
    assert inside(ann, "METADATA * CLEAR") == [
        "766 ann url Key is not set",
        "766 ann avatar Key is not set",
    ]
    assert inside(ann, "METADATA * CLEAR") == []


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("METADATA * SET Url x", "INVALID_KEY Url"),
        ("METADATA * SET :a b", "INVALID_KEY *"),
        (f"METADATA * SET url {'x' * 257}", "INVALID_VALUE url"),
        (f"METADATA * SET url {'é' * 129}", "INVALID_VALUE url"),
        ("METADATA * SET", "INVALID_PARAMS SET"),
        ("METADATA * GET", "INVALID_PARAMS GET"),
        ("METADATA * SUB", "INVALID_PARAMS SUB"),
        ("METADATA * DESTROY url", "INVALID_PARAMS DESTROY"),
        ("METADATA nobody LIST", "INVALID_TARGET nobody"),
        ("METADATA #none GET url", "INVALID_TARGET #none"),
        ("METADATA $a:user SET url x", "INVALID_TARGET $a:user"),
        ("METADATA bob SET url x", "KEY_NO_PERMISSION bob url"),
        ("METADATA bob CLEAR", "KEY_NO_PERMISSION bob *"),
        ("METADATA #a SET url x", "KEY_NO_PERMISSION #a url"),
        ("METADATA #a CLEAR", "KEY_NO_PERMISSION #a *"),
    ],
)
def test_failures(relay: RunningRelay, line: str, failure: str) -> None:
    bob = relay.join("bob", *CAPS)
    bob.ask("JOIN #a")
    (found,) = relay.join("ann", *CAPS).ask(line)
    assert found.startswith(f"FAIL METADATA {failure} :")
    assert bob.seen() == []


def test_limits(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"metadata_keys": 1, "metadata_subscriptions": 2})
    ann = relay.join("ann", *CAPS)
    assert ann.ask("METADATA * SET a 1", "METADATA * SET a 2", "METADATA * SET b 1") == [
        "761 ann ann a * 1",
        "761 ann ann a * 2",
        "FAIL METADATA LIMIT_REACHED * 1 :There may be 1 keys",
    ]
    assert ann.ask("METADATA * SUB a b c a")[:2] == [
        "FAIL METADATA LIMIT_REACHED c 2 :You may subscribe to 2 keys",
        "770 ann a b",
    ]
    assert inside(ann, "METADATA * SUBS", "metadata-subs") == ["772 a b"]


def test_subscriptions(relay: RunningRelay) -> None:
    """ "that key MUST appear in a RPL_METADATASUBOK reply" "The server MUST NOT list the same key
    multiple times"; after new keys a client is told to sync all."""
    ann = relay.join("ann", *CAPS)
    later = "774 * *ALL 0 :Ask for the metadata with METADATA SYNC"
    assert ann.ask("METADATA * SUB a $x b a") == [
        "FAIL METADATA INVALID_KEY $x :No such key can be", "770 ann a b a", later,
    ]  # fmt: skip
    assert ann.ask("METADATA * SUB a") == ["770 ann a"]
    assert inside(ann, "METADATA * SUBS", "metadata-subs") == ["772 a b"]
    assert ann.ask("METADATA * UNSUB b c $x") == [
        "FAIL METADATA INVALID_KEY $x :No such key can be", "771 ann b c",
    ]  # fmt: skip
    assert inside(ann, "METADATA * SUBS", "metadata-subs") == ["772 a"]
    many = [f"key{n}" for n in range(40)]
    found = ann.collect(f"METADATA * SUB {' '.join(many[:12])}", f"METADATA * SUB {many[13]}")
    assert all(len(m.params) <= 15 for m in found)


def test_notifications(relay: RunningRelay) -> None:
    """ "Clients automatically receive metadata updates for: themselves (excluding changes they make
    themselves), channels they are joined to, other clients in the channels they are joined to, and
    users they are currently monitoring." """
    ann = relay.account("ann", *CAPS)
    phone = relay.login("ann", *CAPS)
    bob, carol, dave = (relay.join(nick, *CAPS) for nick in ("bob", "carol", "dave"))
    plain = relay.join("plain")
    everybody = (ann, phone, bob, carol, dave, plain)
    for client in everybody:
        client.ask("METADATA * SUB avatar")
    for client in (ann, bob, plain):
        client.ask("JOIN #a")
    carol.ask("MONITOR + ann")
    for client in everybody:
        client.sync()
    assert ann.ask("METADATA * SET avatar x") == ["761 ann ann avatar * x"]
    assert phone.seen() == bob.seen() == carol.seen() == ["761 * ann avatar * x"]
    assert dave.seen() == plain.seen() == []
    ann.ask("METADATA * SET colour red", "METADATA * SET avatar x")
    assert bob.seen() == []
    ann.ask("METADATA * SET avatar", "METADATA #a SET avatar y")
    assert bob.seen() == ["766 * ann avatar :Key is not set", "761 * #a avatar * y"]
    assert carol.seen() == ["766 * ann avatar :Key is not set"]


def test_on_join(relay: RunningRelay) -> None:
    """ "On joining a channel, users will get the channel's current metadata (…) and get the same
    information for all users who are in the channel." """
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a", "METADATA * SET avatar x", "METADATA #a SET url y", "METADATA #a SET b c")
    bob.ask("METADATA * SUB avatar url")
    found = bob.ask("JOIN #a")
    assert commands(found)[-4:] == ["BATCH", "761", "761", "BATCH"]
    assert found[-3:-1] == ["761 bob #a url * y", "761 bob ann avatar * x"]
    assert relay.join("carol", *CAPS).ask("JOIN #a")[-1].startswith("366 ")


def test_who_comes_in_is_shown_to_those_inside(relay: RunningRelay) -> None:
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a", "METADATA * SUB avatar")
    bob.ask("METADATA * SET avatar x", "JOIN #a")
    assert commands(ann.seen()) == ["JOIN", "BATCH", "761", "BATCH"]


def test_a_further_device_gets_the_metadata_of_the_rooms(relay: RunningRelay) -> None:
    ann = relay.account("ann", *CAPS)
    ann.ask("JOIN #a", "METADATA #a SET url y")
    phone = relay.connect()
    phone.request("sasl", *CAPS)
    phone.authenticate_plain("ann")
    phone.send("METADATA * SUB url", "NICK ann", "USER ann 0 * :Ann", "CAP END")
    assert phone.expect("761").params == ("ann", "#a", "url", "*", "y")


def test_a_large_channel_is_for_later(relay: RunningRelay) -> None:
    """ "the server MUST respond with a RPL_METADATASYNCLATER numeric instead" """
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a", "METADATA #a SET url y")
    bob.ask("METADATA * SUB url")
    services = relay.relay.services
    with services.lock:
        channel = services.network.find_channel("#a")
        assert channel is not None
        (member,) = channel.members.values()
        strangers = dict.fromkeys(range(-SYNC_MEMBERS, 0), member)
        channel.members.update(strangers)
    assert bob.ask("JOIN #a")[-1] == "774 bob #a 0 :Ask for the metadata with METADATA SYNC"
    assert "761 #a url * y" in inside(bob, "METADATA #a SYNC")
    with services.lock:
        for key in strangers:
            del channel.members[key]


def test_on_monitor(relay: RunningRelay) -> None:
    """ "Clients SHOULD receive the current values of keys they are subscribed to when they MONITOR
    a user, or when one of their monitored users comes online." """
    ann, bob = relay.account("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("METADATA * SET avatar x")
    bob.ask("METADATA * SUB avatar")
    assert commands(bob.ask("MONITOR + ann")) == ["730", "BATCH", "761", "BATCH"]
    ann.quit()
    relay.login("ann")
    assert commands(bob.seen()) == ["731", "730", "BATCH", "761", "BATCH"]


def test_sync(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "METADATA *ALL SYNC answers with one batch metadata *ALL holding all that it may see." """
    relay = start_relay(clock=clock)
    ann, bob, carol = (relay.join(nick, *CAPS) for nick in ("ann", "bob", "carol"))
    for client in (ann, bob, carol):
        client.ask(f"METADATA * SET avatar {client.nick}.png")
    for client in (ann, bob):
        client.ask("JOIN #a", "JOIN #b")
    ann.ask("METADATA #a SET avatar a.png", "METADATA * SUB avatar", "MONITOR + carol")
    for client in (ann, bob, carol):
        client.sync()
    assert sorted(inside(ann, "METADATA *ALL SYNC")) == [
        "761 #a avatar * a.png",
        "761 ann avatar * ann.png",
        "761 bob avatar * bob.png",
        "761 carol avatar * carol.png",
    ]
    assert len(inside(ann, "METADATA #a SYNC")) == 3
    assert inside(ann, "METADATA bob SYNC") == ["761 bob avatar * bob.png"]
    assert inside(carol, "METADATA #a SYNC") == []
    while (found := ann.ask("METADATA *ALL SYNC"))[0].startswith("BATCH"):
        pass
    assert found == ["774 * *ALL 4 :Ask for the metadata with METADATA SYNC"]
    clock.now += 4
    assert len(inside(ann, "METADATA *ALL SYNC")) == 4


@pytest.mark.parametrize("mode", ["+i", "+s", "+k key"])
def test_a_closed_channel_tells_strangers_nothing(relay: RunningRelay, mode: str) -> None:
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a", "METADATA #a SET url y")
    assert inside(bob, "METADATA #a GET url") == ["761 #a url * y"]
    ann.ask(f"MODE #a {mode}")
    for subcommand in ("GET url", "LIST", "SYNC"):
        (found,) = bob.ask(f"METADATA #a {subcommand}")
        assert found.startswith("FAIL METADATA INVALID_TARGET #a ")


def test_whois(relay: RunningRelay) -> None:
    """ "When a user with the capability enabled runs WHOIS on a user with metadata set, a subset of
    that metadata MAY be sent with RPL_WHOISKEYVALUE numerics." """
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("METADATA * SET avatar x")
    assert "760 bob ann avatar * x" in bob.ask("WHOIS ann")
    assert "760" not in commands(relay.join("carol").ask("WHOIS ann"))


def test_before_connect(relay: RunningRelay) -> None:
    """ "clients receive their current metadata (…) in a metadata batch with their own nick as
    target as part of the registration burst, i.e. before RPL_ENDOFMOTD or ERR_NOMOTD. If none
    exists, the server MUST send an empty batch instead." """
    ann = relay.connect()
    ann.request(*CAPS)
    assert ann.ask("METADATA * SUB avatar", "METADATA * SET avatar :a b") == [
        "770 * avatar",
        "761 * * avatar * :a b",
    ]
    assert inside(ann, "METADATA * GET avatar") == ["761 * avatar * a b"]
    assert inside(ann, "METADATA * SUBS", "metadata-subs") == ["772 avatar"]
    assert ann.ask("METADATA ann LIST")[0].startswith("FAIL METADATA INVALID_TARGET ann ")
    assert ann.ask("METADATA * SYNC")[0].startswith("FAIL METADATA INVALID_TARGET * ")
    assert ann.ask("METADATA * SET url x", "METADATA * SET url")[-1].startswith("766 ")
    burst = ann.ask("NICK ann", "USER ann 0 * :Ann", "CAP END")
    place = burst.index("761 ann ann avatar * :a b")
    assert burst[place - 1].endswith(" metadata ann")
    assert "422" in commands(burst[place:])
    assert inside(ann, "METADATA * SUBS", "metadata-subs") == ["772 avatar"]
    bob = relay.connect()
    bob.request(*CAPS)
    burst = commands(bob.ask("NICK bob", "USER bob 0 * :Bob", "CAP END"))
    assert burst[burst.index("BATCH") + 1] == "BATCH"


def test_too_early_without_the_capability(relay: RunningRelay) -> None:
    assert commands(relay.connect().ask("METADATA * SET url x")) == ["451"]


def test_without_batch(relay: RunningRelay) -> None:
    ann = relay.join("ann", "draft/metadata-2")
    ann.ask("METADATA * SET url x")
    assert ann.ask("METADATA * LIST") == ["761 ann ann url * x"]


def test_labels(relay: RunningRelay) -> None:
    ann = relay.join("ann", *CAPS, "labeled-response", "message-tags")
    ann.ask("METADATA * SET url x", "METADATA * SET avatar y")
    start, *found, _ = ann.collect("@label=1 METADATA * LIST")
    assert start.tags["label"] == "1"
    assert {m.tags["batch"] for m in found} == {start.params[0][1:]}


def test_operators_of_a_channel_may(relay: RunningRelay) -> None:
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    for rank, may in (("v", False), ("h", False), ("o", True)):
        ann.ask(f"MODE #a +{rank} bob")
        found = bob.ask("METADATA #a SET url x")[-1]
        assert found.startswith("761 " if may else "FAIL "), rank


def test_over_a_restart(start_relay: StartRelay) -> None:
    first = start_relay()
    ann = first.account("ann", *CAPS)
    ann.ask("METADATA * SET avatar x", "METADATA * SET url y", "METADATA * SET url")
    first.join("guest", *CAPS).ask("METADATA * SET avatar z")
    first.stop()
    second = start_relay()
    ann, guest = second.login("ann", *CAPS), second.join("guest", *CAPS)
    assert inside(ann, "METADATA * LIST") == ["761 ann avatar * x"]
    assert inside(guest, "METADATA * LIST") == []
