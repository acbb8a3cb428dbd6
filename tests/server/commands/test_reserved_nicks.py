"""A nick belongs to its account from the moment the account is made, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from securechat.server.events import CreateAccount, Stamp
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Client, RunningRelay, commands

HASH_THREADS = 2
REGISTER = f"REGISTER * * :{PASSWORD}"


@contextlib.contextmanager
def hashing_waits(relay: RunningRelay) -> Iterator[None]:
    """Keep all hash threads busy until the end of the block."""
    go_on = threading.Event()
    hashers = relay.relay._hashers
    entered = [threading.Event() for _ in range(HASH_THREADS)]

    def wait(mine: threading.Event) -> None:
        mine.set()
        go_on.wait(LONG_TIMEOUT_S)

    for event in entered:
        hashers.submit(lambda event=event: wait(event))  # type: ignore[misc]
    try:
        for event in entered:
            assert event.wait(LONG_TIMEOUT_S)
        yield
    finally:
        go_on.set()


def early(relay: RunningRelay, nick: str) -> Client:
    """Return a client that has a nick and is not yet on the network."""
    client = relay.connect()
    client.request("draft/account-registration")
    client.send(f"NICK {nick}")
    return client


def wait_for_account(relay: RunningRelay, name: str) -> None:
    services = relay.relay.services
    probe = relay.join("probe")
    while True:
        with services.lock:
            if name in services.network.accounts:
                return
        probe.sync()


def test_an_account_is_made_although_its_maker_has_gone(relay: RunningRelay) -> None:
    with hashing_waits(relay):
        client = early(relay, "ann")
        client.send(REGISTER)
        services = relay.relay.services
        while services.registry.snapshot()[0].held is False:
            relay.wake()
        client.vanish()
    wait_for_account(relay, "ann")
    stranger = relay.connect()
    assert commands(stranger.ask("NICK ann", "USER a 0 * :A")) == ["433"]


def test_a_guest_who_took_the_nick_meanwhile_gets_another(relay: RunningRelay) -> None:
    bob = relay.join("bob")
    with hashing_waits(relay):
        client = early(relay, "ann")
        client.send(REGISTER)
        services = relay.relay.services
        while not any(session.held for session in services.registry.snapshot()):
            relay.wake()
        guest = relay.join("ann")
        guest.send("JOIN #a")
        guest.sync()
        bob.send("JOIN #a")
        bob.sync()
    assert client.expect("REGISTER").params[:2] == ("SUCCESS", "ann")
    change = guest.expect("NICK")
    assert change.nick == "ann"
    assert change.params[0].startswith("guest")
    assert bob.expect("NICK").params == change.params
    assert client.register("ann").ask("ISON ann") == ["303 ann ann"]


def test_a_certificate_gets_its_nick_from_a_guest(start_relay: StartRelay) -> None:
    relay = start_relay()
    relay.stop()
    relay = start_relay(tls={"client_ca": relay.certificates.ca_file})
    guest = relay.join("ann")
    client = relay.connect(certificate=relay.certificates.of_person("ann"))
    client.request("sasl")
    client.send("AUTHENTICATE EXTERNAL")
    client.expect("AUTHENTICATE", "+")
    assert commands(client.ask("AUTHENTICATE +")) == ["900", "903"]
    assert guest.expect("NICK").params[0].startswith("guest")
    assert client.register("ann").ask("ISON ann") == ["303 ann ann"]


def test_who_comes_by_certificate_hears_of_a_password(start_relay: StartRelay) -> None:
    """Perhaps somebody else was faster and has registered the name."""
    relay = start_relay()
    relay.stop()
    relay = start_relay(tls={"client_ca": relay.certificates.ca_file})
    relay.account("ann").quit()
    client = relay.connect(certificate=relay.certificates.of_person("ann"))
    client.request("sasl")
    client.send("AUTHENTICATE EXTERNAL")
    client.expect("AUTHENTICATE", "+")
    found = client.ask("AUTHENTICATE +")
    assert commands(found) == ["900", "903", "NOTICE"]
    assert "also opens with a password" in found[-1]


def test_the_new_nick_of_a_guest_is_free(relay: RunningRelay) -> None:
    """It is made up, and may be taken: then it grows."""
    network = relay.relay.services.network
    first = relay.join("ann")
    with relay.relay.services.lock:
        network.accounts["guest7"] = "guest7"
        (effect,) = network.apply(CreateAccount(Stamp(0, 0, "id"), "ann", "guest7"))
        assert network.find_user("guest7_") is effect.user  # type: ignore[attr-defined]
        del network.accounts["guest7"]
    assert first.ask("ISON guest7_") == ["303 guest7_ guest7_"]
