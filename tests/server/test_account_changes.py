"""Accounts that are made, closed and deleted while the relay runs."""

from __future__ import annotations

import pytest

from securechat.server.account_changes import announce_account, close_account
from securechat.server.event_log import propose_for_relay
from securechat.server.events import AddBan, RemoveBan, Stamp
from securechat.server.refusals import Fail
from securechat.store.devices import PeerDevices
from securechat.store.metadata import Metadata
from securechat.store.read_markers import ReadMarkers
from securechat.store.rooms import Rooms
from securechat.store.settings import AccountSettings
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay, commands

REASON = "Your account is suspended: spam"
CLOSED = f"ERROR :Closing link: {REASON}"


def with_history(relay: RunningRelay) -> Client:
    """Have alice leave something wherever accounts do."""
    alice = relay.account("alice", "draft/metadata-2", "draft/read-marker")
    alice.ask("JOIN #own", "SET always-on on", "METADATA * SET avatar :cat.png")
    bob = relay.account("bob")
    bob.ask("JOIN #bobs", "ROOM RANK #bobs alice +v")
    alice.ask("JOIN #bobs", "MARKREAD bob timestamp=2023-01-01T00:00:00.000Z")
    bob.sync()
    return bob


def kept_of(relay: RunningRelay, account: str) -> dict[str, bool]:
    """Return what the store has of an account, all that came before being written."""
    store = relay.relay.services.store
    return {
        "settings": bool(store.call(lambda c: AccountSettings(c).get_all(account))),
        "metadata": f"account {account}" in store.call(lambda c: Metadata(c).load()),
        "markers": account in store.call(lambda c: ReadMarkers(c).load()),
        "rooms": any(
            room.record.owner == account for room in store.call(lambda c: Rooms(c).load())
        ),
        "memberships": any(
            person.account == account
            for room in store.call(lambda c: Rooms(c).load())
            for person in room.people
        ),
    }


def test_a_suspended_account_is_put_off(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    bob = with_history(relay)
    phone = relay.login("alice")
    unregistered = relay.connect()
    unregistered.request("sasl")
    assert "903" in commands(unregistered.authenticate_plain("alice"))
    desk = next(client for client in relay.clients if client.nick == "alice")
    before = kept_of(relay, "alice")
    assert all(before.values())
    close_account(relay.relay.services, "Alice", REASON, forget=False)
    for client in (desk, phone):
        assert client.read_to_end()[-2:] == [f"465 alice :{REASON}", CLOSED]
    assert unregistered.read_to_end() == [CLOSED]
    assert bob.seen() == [":alice QUIT :Account closed"]
    assert kept_of(relay, "alice") == before
    assert "relay: account alice closed" in caplog.text
    with relay.relay.services.lock:
        assert relay.relay.services.network.find_user("alice") is None, "not even always on"
    late = relay.connect()
    late.request("sasl")
    assert "903" in commands(late.authenticate_plain("alice")), "the store knows nothing of it here"
    late.send("NICK alice", "USER a 0 * :a", "CAP END")
    assert late.read_to_end()[0] == "465 alice :This account may not be used"
    announce_account(relay.relay.services, "alice")
    again = relay.login("alice")
    assert commands(again.ask("JOIN #own", "ROOM DROP #own #own"))[:1] == ["JOIN"]
    assert not kept_of(relay, "alice")["rooms"], "it was still theirs to give up"


def test_a_login_on_its_way_does_not_arrive(relay: RunningRelay) -> None:
    """Whoever is on the network already stays who they are."""
    relay.account("alice").quit()
    close_account(relay.relay.services, "alice", REASON, forget=False)
    ann = relay.join("ann", "sasl")
    answer = ann.authenticate_plain("alice")
    assert answer == ["904 ann :This account may not be used"]
    assert relay.session("ann").account is None


def test_a_forgotten_account_leaves_nothing(relay: RunningRelay) -> None:
    bob = with_history(relay)
    relay.relay.services.store.call(
        lambda c: PeerDevices(c).add("alice", "f" * 64, b"certificate", 0)
    )
    close_account(relay.relay.services, "alice", "Deleted", forget=True)
    assert not any(kept_of(relay, "alice").values())
    assert relay.relay.services.store.call(lambda c: PeerDevices(c).list("alice")) == ()
    bob.ask("NICK alice")
    assert relay.session("alice").account == "bob"
    assert commands(bob.ask("JOIN #own")) == ["JOIN", "353", "366"], "made anew"


def test_an_account_that_is_made_has_its_nick(relay: RunningRelay) -> None:
    alice, bob = relay.join("alice"), relay.join("bob")
    announce_account(relay.relay.services, "alice")
    (line,) = alice.seen()
    assert line.startswith(":alice NICK guest")
    assert bob.seen() == []
    assert commands(bob.ask("NICK alice")) == ["433"]


def test_the_history_of_rooms_takes_what_the_relay_does(start_relay: StartRelay) -> None:
    """There is no session that could write it later."""
    relay = start_relay()
    bob = relay.join("bob")
    bob.request("draft/chathistory", "draft/event-playback", "batch", "message-tags", "server-time")
    alice = relay.account("alice")
    for client in (alice, bob):
        client.ask("JOIN #den")
    close_account(relay.relay.services, "alice", REASON, forget=False)
    found = bob.ask("CHATHISTORY LATEST #den * 10")
    assert [line for line in found if "QUIT" in line][-1] == ":alice QUIT :Account closed"


def test_the_relay_may_ban_too(relay: RunningRelay) -> None:
    services = relay.relay.services
    ann = relay.join("ann")

    def ban(stamp: Stamp) -> AddBan:
        return AddBan(stamp, "K", "ann!*@*", "spam", "the administrator", None)

    def end(stamp: Stamp) -> RemoveBan:
        return RemoveBan(stamp, "K", "ann!*@*", "the administrator")

    propose_for_relay(services, ban)
    assert ann.read_to_end()[-1].endswith("You are banned from this relay: spam")
    propose_for_relay(services, end)
    with pytest.raises(Fail):
        propose_for_relay(services, end)
    relay.join("ann")
