"""One account on several devices at once, under one nick."""

from __future__ import annotations

import pytest

from tests.server.conftest import StartRelay
from tests.server.relay_harness import Certificates, Client, RunningRelay, commands

EVERYTHING = ("message-tags", "echo-message", "server-time", "away-notify", "setname", "batch")


def devices(relay: RunningRelay, *caps: str) -> tuple[Client, Client, Client]:
    """Return desk and phone of ann, and bob; all in #a."""
    desk = relay.account("ann", *caps)
    phone = relay.login("ann", *caps)
    bob = relay.join("bob", *caps)
    desk.ask("JOIN #a")
    bob.ask("JOIN #a")
    for client in (desk, phone, bob):
        client.sync()
    return desk, phone, bob


@pytest.mark.parametrize("caps", [(), EVERYTHING])
def test_what_is_done_on_one_is_seen_on_the_other(
    relay: RunningRelay, caps: tuple[str, ...]
) -> None:
    """Each sees all, own messages from other devices included."""
    desk, phone, bob = devices(relay, *caps)
    for line, seen in {
        "PRIVMSG #a :to all": ":ann PRIVMSG #a :to all",
        "NOTICE #a :to all": ":ann NOTICE #a :to all",
        "PRIVMSG bob :to you": ":ann PRIVMSG bob :to you",
        "NOTICE bob :to you": ":ann NOTICE bob :to you",
        "TOPIC #a :news": ":ann TOPIC #a news",
        "MODE #a +m": ":ann MODE #a +m",
        "MODE ann +i": ":ann MODE ann +i",
        "NICK ann_": ":ann NICK ann_",
        "NICK ann": ":ann_ NICK ann",
        "KICK #a bob :out": ":ann KICK #a bob out",
        "PART #a :bye": ":ann PART #a bye",
    }.items():
        desk.ask(line)
        assert phone.seen() == [seen], line
    assert ":ann NICK ann_" in bob.seen()


def test_tags_on_the_other_device(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay, "message-tags")
    desk.ask("@+typing=active TAGMSG #a", "@+typing=active TAGMSG bob")
    assert phone.seen() == [":ann TAGMSG #a", ":ann TAGMSG bob"]
    assert bob.seen() == [":ann TAGMSG #a", ":ann TAGMSG bob"]
    desk.ask("@+x=y PRIVMSG bob :hi")
    (copy,), (got,) = phone.sync(), bob.sync()
    assert copy.tags["msgid"] == got.tags["msgid"]
    assert copy.tags["+x"] == "y"


def test_what_others_do_is_seen_on_both(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay)
    bob.ask("PRIVMSG ann :hi", "PRIVMSG #a :all", "NICK bobby", "JOIN #b", "INVITE ann #b")
    expected = [
        ":bob PRIVMSG ann hi",
        ":bob PRIVMSG #a all",
        ":bob NICK bobby",
        ":bobby INVITE ann #b",
    ]
    assert desk.seen() == phone.seen() == expected


def test_a_message_to_oneself(relay: RunningRelay) -> None:
    desk, phone, _ = devices(relay)
    assert desk.ask("PRIVMSG ann :note") == [":ann PRIVMSG ann note"]
    assert phone.seen() == [":ann PRIVMSG ann note"]


def test_a_room_entered_on_one_is_shown_on_both(relay: RunningRelay) -> None:
    """Each in the form that it understands: capabilities are the device's."""
    desk = relay.account("ann", "extended-join", "multi-prefix")
    phone = relay.login("ann", "userhost-in-names")
    host = relay.relay.services.network.users[1].host
    bob = relay.join("bob")
    bob.ask("JOIN #a", "TOPIC #a :news")
    shown = desk.ask("JOIN #a")
    assert shown[0] == ":ann JOIN #a ann :Real ann"
    assert commands(shown) == ["JOIN", "332", "333", "353", "366"]
    found = phone.seen()
    assert found[0] == ":ann JOIN #a"
    assert commands(found) == ["JOIN", "332", "333", "353", "366"]
    assert f"ann!~ann@{host}" in found[3]
    assert "!" not in shown[3]
    assert bob.seen() == [":ann JOIN #a"]


def test_a_device_that_attaches_gets_the_rooms(relay: RunningRelay) -> None:
    """And nobody else sees it attach, or leave again."""
    desk, phone, bob = devices(relay)
    desk.ask("TOPIC #a :news", "JOIN #b")
    phone.sync()
    bob.sync()
    tablet = relay.connect()
    tablet.request("sasl", "extended-join")
    tablet.authenticate_plain("ann")
    tablet.send("NICK ann", "USER t 0 * :Tablet", "CAP END")
    tablet.expect("422")
    shown = tablet.seen()
    assert [line for line in shown if "JOIN" in line] == [
        ":ann JOIN #a ann :Real ann",
        ":ann JOIN #b ann :Real ann",
    ]
    assert commands(shown) == ["JOIN", "332", "333", "353", "366", "JOIN", "353", "366"]
    assert desk.seen() == phone.seen() == bob.seen() == []
    tablet.quit()
    assert desk.seen() == phone.seen() == bob.seen() == []


def test_one_device_less_is_seen_by_nobody(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay)
    desk.send("QUIT :two out")
    assert desk.read_to_end() == ["ERROR :Closing link: Quit: two out"]
    assert bob.seen() == phone.seen() == []
    bob.ask("PRIVMSG ann :still?")
    assert phone.seen() == [":bob PRIVMSG ann still?"]
    phone.quit()
    assert commands(bob.seen()) == ["QUIT"]


def test_away_only_when_all_are(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay, "away-notify")
    assert commands(desk.ask("AWAY :lunch")) == ["306"]
    assert bob.seen() == []
    assert bob.ask("PRIVMSG ann :hi") == []
    phone.ask("AWAY :on the way")
    assert bob.seen() == [":ann AWAY :on the way"]
    assert bob.ask("PRIVMSG ann :hi") == ["301 bob ann :on the way"]
    phone.quit()
    assert bob.seen() == [":ann AWAY lunch"]
    phone = relay.login("ann")
    assert bob.seen() == [":ann AWAY"]
    phone.vanish()
    assert bob.expect("AWAY").params == ("lunch",)
    assert "AWAY" not in commands(desk.seen())


def test_a_client_that_only_fetches_does_not_bring_somebody_back(relay: RunningRelay) -> None:
    """ "it would be undesirable to suggest that the user is present (…) servers can disregard them
    for this or other purposes related to user presence" """
    desk, phone, bob = devices(relay, "away-notify")
    phone.quit()
    desk.ask("AWAY :asleep")
    bob.sync()
    fetcher = relay.connect()
    fetcher.request("sasl", "draft/pre-away")
    fetcher.authenticate_plain("ann")
    fetcher.send("AWAY *")
    fetcher.register("ann")
    assert bob.seen() == []
    assert bob.ask("PRIVMSG ann :hi") == ["301 bob ann asleep"]
    fetcher.ask("AWAY")
    assert bob.seen() == [":ann AWAY"]


# ---- DEVICES ----


def test_the_devices_of_an_account(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay)
    phone.ask("AWAY :out")
    first, second = sorted(relay.relay.services.network.find_user("ann").sessions)
    since = "since 2023-11-14 22:13 UTC, from 127.0.0.1"
    assert desk.ask("DEVICES") == [
        f"NOTICE ann :Device {first}: ann, {since}, this one",
        f"NOTICE ann :Device {second}: ann, {since}, away",
    ]
    assert commands(phone.ask("DEVICES")) == ["NOTICE", "NOTICE"]
    assert bob.ask("CAP REQ standard-replies", "DEVICES")[-1].startswith(
        "FAIL DEVICES ACCOUNT_REQUIRED "
    )


def test_a_device_is_ended(relay: RunningRelay) -> None:
    desk, phone, bob = devices(relay, "standard-replies")
    first, second = sorted(relay.relay.services.network.find_user("ann").sessions)
    assert desk.ask(f"DEVICES END {second}") == [f"NOTICE ann :Device {second} is disconnected"]
    assert phone.read_to_end() == ["ERROR :Closing link: Disconnected by another device"]
    assert bob.seen() == []
    assert len(desk.ask("DEVICES")) == 1
    stranger = relay.session("bob").id
    for number in (second, stranger, 0, "x"):
        text = "No device of yours has that number"
        assert desk.ask(f"DEVICES END {number}") == [
            f"FAIL DEVICES NO_SUCH_DEVICE {number} :{text}"
        ]
    assert desk.ask("DEVICES STOP")[0].startswith("FAIL DEVICES INVALID_PARAMS STOP ")
    desk.send(f"DEVICES END {first}")
    assert "ERROR :Closing link: Disconnected by another device" in desk.read_to_end()


def test_the_certificate_of_a_device(
    start_relay: StartRelay, relay_certificates: Certificates
) -> None:
    relay = start_relay(tls={"client_ca": relay_certificates.ca_file})
    relay.account("ann").quit()
    client = relay.connect(certificate=relay.certificates.of_person("ann"))
    client.request("sasl")
    client.authenticate_plain("ann")
    client.register("ann")
    fingerprint = relay.session("ann").fingerprint
    assert len(fingerprint) == 64
    assert f"certificate {fingerprint}, this one" in client.ask("DEVICES")[0]
