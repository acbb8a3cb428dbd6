"""The steps of the assistant when an invite link has answered some of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from securechat.client.assistant.setup import Setup, Step
from securechat.client.assistant.trial import Attempt
from securechat.client.client import Client
from securechat.client.settings.profiles import Network, PasswordSource
from tests.client.invites import link_to
from tests.client.trials import bad_certificate, closed_port, run_trial
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Certificates, RunningRelay


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay that only lets in who has an invite."""
    return start_relay(accounts={"registration": "invite"})


def advance(setup: Setup, **answers: str) -> list[Attempt]:
    """Answer and go on, through all trials that come of it; return what they were."""
    for name, value in answers.items():
        assert hasattr(setup.answers, name)
        setattr(setup.answers, name, value)
    attempt, attempts = setup.next(), []
    while attempt is not None:
        attempts.append(attempt)
        attempt = setup.take(attempt, run_trial(attempt))
    return attempts


def purposes(attempts: list[Attempt]) -> list[str]:
    return [attempt.purpose for attempt in attempts]


def at_account(link: str, nick: str = "ann", **more: Any) -> Setup:
    """Return a setup that has come to the account."""
    setup = Setup(**more)
    advance(setup, address=link)
    if setup.step is Step.NICK:
        advance(setup, nick=nick)
    assert setup.step is Step.ACCOUNT, (setup.problems, setup.explanation)
    return setup


def registering(setup: Setup, password: str = PASSWORD) -> list[str]:
    return purposes(advance(setup, account="register", password=password, again=password))


def finished(setup: Setup, folder: Path, **answers: str) -> Network:
    """End a setup whose account is there; return the network."""
    assert setup.step is Step.PASSWORD, setup.problems
    assert advance(setup, **answers) == []
    assert setup.step is Step.DONE, setup.problems
    return setup.finish(folder).network


# ---- all goes well ----


def test_from_nothing_to_a_network(relay: RunningRelay, tmp_path: Path) -> None:
    setup = Setup()
    link = link_to(relay, room="#friends")
    assert purposes(advance(setup, address=link)) == ["authority", "probe"]
    assert (setup.step, setup.problems, setup.note) == (Step.NICK, {}, "")
    assert not setup.nick_is_fixed
    assert purposes(advance(setup, nick="ann")) == ["nick"]
    assert (setup.step, setup.answers.account, setup.note) == (Step.ACCOUNT, "register", "")
    assert not setup.wants_code
    assert registering(setup) == ["register"]
    assert advance(setup) == []
    assert setup.step is Step.DONE
    result = setup.finish(tmp_path)
    ca = tmp_path / "localhost-ca.pem"  # the relay tells strangers no name of its network
    assert ca.read_bytes() == relay.certificates.ca.cert_pem.bytes()
    assert result.network_name == "localhost"
    assert result.password == PASSWORD
    assert result.network == Network(
        "localhost",
        "ann",
        port=relay.address[1],
        ca=ca,
        password=PasswordSource("prompt"),
        rooms=("#friends",),
    )
    with Client("localhost", relay.address[1], nick="ann", ca=ca, password=PASSWORD) as client:
        client.connect()
        assert client.account == "ann"


def test_a_link_for_one_nick(relay: RunningRelay, tmp_path: Path) -> None:
    setup = Setup(nick="suggested")
    attempts = advance(setup, address=link_to(relay, account="ann"))
    assert purposes(attempts) == ["authority", "probe", "nick"]
    assert setup.nick_is_fixed
    assert (setup.step, setup.answers.nick) == (Step.ACCOUNT, "ann")
    registering(setup)
    assert finished(setup, tmp_path).nick == "ann"


def test_a_link_without_a_ca_is_for_what_the_system_trusts(relay: RunningRelay) -> None:
    """Whose certificate that is not: nothing is fetched, and nothing is believed."""
    link = link_to(relay).partition(",ca=")[0]
    setup = Setup()
    assert purposes(advance(setup, address=link)) == ["probe"]
    assert setup.step is Step.CONNECTION
    assert setup.explanation is not None
    assert setup.explanation.title == "The invite link does not say whom to trust"


def test_nothing_of_the_token_is_shown(relay: RunningRelay) -> None:
    setup = at_account(link_to(relay, token="secret-token"))
    setup.answers.password = setup.answers.again = PASSWORD
    attempt = setup.next()
    assert attempt is not None
    assert attempt.email == "invite:secret-token"
    assert "secret-token" not in repr(attempt)


# ---- whom not to trust ----


def test_another_ca_than_that_of_the_link(relay: RunningRelay) -> None:
    setup = Setup()
    link = link_to(relay, ca=relay.certificates.other_ca)
    for _turn in range(2):  # to try again does not help either
        assert purposes(advance(setup, address=link)) == ["authority"]
        assert setup.step is Step.CONNECTION
        assert setup.explanation is not None
        assert setup.explanation.title == "This is not the server of your invite"
    assert not setup.connected
    setup.back()
    assert (setup.step, setup.explanation) == (Step.ADDRESS, None)


@pytest.mark.parametrize(
    ("check", "title"),
    [
        ("untrusted", "This is not the server of your invite"),
        ("hostname", "The certificate is for another name"),
        ("expired", "The server's certificate has expired"),
    ],
)
def test_a_server_that_gives_the_ca_but_is_not_of_it(
    check: str,
    title: str,
    start_relay: StartRelay,
    relay_certificates: Certificates,
    tmp_path: Path,
) -> None:
    """The certificate of a CA is no secret: whoever is in between can give it, too."""
    tls = bad_certificate(check, relay_certificates, tmp_path)
    relay_certificates.ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls["certificate"].open("ab") as file:
        file.write(relay_certificates.ca.cert_pem.bytes())
    relay = start_relay(tls=tls)
    setup = Setup()
    assert purposes(advance(setup, address=link_to(relay))) == ["authority", "probe"]
    assert setup.step is Step.CONNECTION
    assert setup.explanation is not None
    assert setup.explanation.title == title
    setup.back()
    assert setup.step is Step.ADDRESS


@pytest.mark.parametrize(
    ("known", "in_link", "goes_on"),
    [
        ("own", "own", True),
        ("own", "other", False),
        ("own", "system", False),
        ("system", "own", False),
        ("system", "system", True),
        ("lost", "own", True),
        ("system without a login", "own", True),
    ],
)
def test_a_server_that_is_known_by_another_ca(
    known: str, in_link: str, goes_on: bool, relay: RunningRelay, tmp_path: Path
) -> None:
    """Who makes a link could else have the password of a known account sent to a false server."""
    files = {"own": relay.certificates.ca_file, "lost": tmp_path / "lost.pem"}
    source = None if known.endswith("without a login") else PasswordSource("prompt")
    port = relay.address[1]
    network = Network("localhost", "ann", port=port, ca=files.get(known), password=source)
    others = {"other": Network("localhost", "ann", port=port + 1, ca=tmp_path)}
    link = link_to(relay, ca=relay.certificates.other_ca if in_link == "other" else None)
    if in_link == "system":
        link = link.partition(",ca=")[0]
    setup = Setup(networks={**others, "mynet": network})
    setup.answers.address = link
    assert (setup.next() is not None) is goes_on
    assert (setup.step is Step.CONNECTION) is goes_on
    told = setup.problems.get("address", "")
    assert told.startswith("you know this server as the network mynet, by another CA") != goes_on


def test_one_of_two_networks_knows_the_server_by_this_ca(
    relay: RunningRelay, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    relay.certificates.other_ca.cert_pem.write_to_path(other)
    setup = Setup(
        networks={
            str(ca.name): Network("localhost", "ann", port=relay.address[1], ca=ca)
            for ca in (other, relay.certificates.ca_file)
        }
    )
    setup.answers.address = link_to(relay)
    assert setup.next() is not None


def test_nobody_is_there() -> None:
    setup = Setup()
    advance(setup, address=f"securechat://localhost:{closed_port()}/#token=t")
    assert setup.explanation is not None
    assert setup.explanation.title == "Nothing listens there"


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("securechat://localhost/#room=%23a", "not complete"),
        ("securechat://[:::::]/#token=t", "not a host name"),
    ],
)
def test_a_damaged_link(link: str, says: str) -> None:
    setup = Setup()
    assert advance(setup, address=link) == []
    assert setup.step is Step.ADDRESS
    assert says in setup.problems["address"]


# ---- what the server does not take ----


def test_a_token_that_is_used_up_and_a_new_link(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay)
    registering(at_account(link, "bob"))
    setup = at_account(link)
    registering(setup)
    assert setup.step is Step.ACCOUNT
    assert setup.wants_code
    assert "the server does not take the invite: " in setup.problems["email"]
    assert "used up" in setup.problems["email"]
    assert advance(setup) == []
    assert "wants an invitation code" in setup.problems["email"]
    assert advance(setup, email="securechat://localhost/#") == []
    assert "not complete" in setup.problems["email"]
    assert advance(setup, email="securechat://elsewhere.example.org/#token=t") == []
    assert setup.problems["email"] == (
        "this invite is for another server: elsewhere.example.org:6697"
    )
    setup.back()  # which takes a bad answer along
    advance(setup)
    assert purposes(advance(setup, email=link_to(relay))) == ["register"]
    assert finished(setup, tmp_path).nick == "ann"


def test_a_token_for_another_nick_is_taken_for_that(relay: RunningRelay, tmp_path: Path) -> None:
    setup = at_account(link_to(relay, account="bob", in_link=False), "ann")
    registering(setup)
    assert "for another nick" in setup.problems["email"]
    setup.back()
    advance(setup, nick="bob")
    assert not setup.wants_code
    registering(setup)
    assert finished(setup, tmp_path).nick == "bob"


def test_a_nick_that_is_taken(relay: RunningRelay, tmp_path: Path) -> None:
    link = link_to(relay, uses=2)
    registering(at_account(link))
    setup = at_account(link)
    assert registering(setup, "another password") == ["register", "login"]
    assert (setup.step, setup.answers.account) == (Step.ACCOUNT, "login")
    assert "take another nick" in setup.note
    assert "do not fit together" in setup.problems["password"]
    setup.back()
    assert setup.step is Step.NICK
    advance(setup, nick="bob")
    assert (setup.step, setup.answers.account, setup.note) == (Step.ACCOUNT, "register", "")
    registering(setup)
    assert finished(setup, tmp_path).nick == "bob"


def test_the_only_nick_is_taken(relay: RunningRelay) -> None:
    link = link_to(relay, account="ann", uses=2)
    registering(at_account(link))
    setup = at_account(link)
    registering(setup, "another password")
    assert "this one is for that nick only" in setup.note


def test_the_only_nick_is_in_use(start_relay: StartRelay) -> None:
    relay = start_relay()
    other = relay.join("ann")
    setup = Setup()
    advance(setup, address=link_to(relay, account="ann"))
    assert setup.step is Step.NICK
    assert "Nickname is already in use" in setup.problems["nick"]
    assert "for the nick ann only" in setup.note
    other.quit()
    assert purposes(advance(setup)) == ["nick"]
    assert setup.step is Step.ACCOUNT


def test_a_weak_password(relay: RunningRelay) -> None:
    setup = at_account(link_to(relay))
    registering(setup, "short")
    assert "at least 8 characters" in setup.problems["password"]
    assert not setup.wants_code


def test_a_room_that_cannot_be_one(relay: RunningRelay, tmp_path: Path) -> None:
    setup = at_account(link_to(relay, room="#a:b"))
    registering(setup)
    advance(setup)
    assert (setup.step, setup.problems) == (Step.ROOMS, {"rooms": "this cannot be a room: #a:b"})
    advance(setup, rooms="")
    assert setup.step is Step.DONE


def test_what_remains_of_it_for_whoever_leaves(relay: RunningRelay) -> None:
    setup = at_account(link_to(relay))
    assert setup.farewell == ""
    registering(setup)
    assert setup.farewell.startswith("The account ann is there. When you set this network up again")
    advance(setup)
    assert setup.farewell == ""  # nothing is left to be done


# ---- the link once more, and other networks ----


@pytest.mark.parametrize("reserved", [False, True])
def test_the_link_is_opened_once_more(
    reserved: bool, start_relay: StartRelay, tmp_path: Path
) -> None:
    """With the right password, whether the server says at once that the nick is taken or not."""
    relay = start_relay(accounts={} if reserved else {"registration": "invite"})
    link = link_to(relay, room="#friends", account="ann")
    first = at_account(link)
    registering(first)
    before = replace(
        finished(first, tmp_path),
        rooms=("#home",),
        realname="Ann Lee",
        notify={"#home": "all"},
    )
    setup = at_account(link, networks={"mynet": before})
    if reserved:
        assert setup.account_choices == ("login",)
        assert purposes(advance(setup, password=PASSWORD)) == ["login"]
    else:
        assert registering(setup) == ["register", "login"]
    setup.next()
    result = setup.finish(tmp_path)
    assert result.network_name == "mynet"
    assert result.network == replace(
        before, ca=tmp_path / "mynet-ca.pem", rooms=("#home", "#friends")
    )
    assert result.password == PASSWORD


def test_another_network_of_that_name_stays(relay: RunningRelay, tmp_path: Path) -> None:
    """Also if only its CA is left, or its profile is called something else by now."""
    other = trustme.CA().cert_pem.bytes()
    for name in ("localhost-ca.pem", "localhost-2-ca.pem"):
        (tmp_path / name).write_bytes(other)
    networks = {
        "localhost": Network("elsewhere.example.org", "ann", ca=tmp_path / "localhost-ca.pem"),
        "guest": Network("localhost", "ann", port=relay.address[1]),
    }
    setup = at_account(link_to(relay), networks=networks)
    registering(setup)
    setup.next()
    result = setup.finish(tmp_path)
    assert result.network_name == "localhost-2"
    assert result.network.ca == tmp_path / "localhost-2-ca-2.pem"
    assert (tmp_path / "localhost-ca.pem").read_bytes() == other
    assert (tmp_path / "localhost-2-ca.pem").read_bytes() == other


def test_back_and_to_an_address_without_an_invite(relay: RunningRelay) -> None:
    setup = at_account(link_to(relay, account="ann"))
    for step in (Step.NICK, Step.ADDRESS):
        setup.back()
        assert setup.step is step
    for room in ("#friends", "#garden"):
        advance(setup, address=link_to(relay, room=room))
        assert (setup.step, setup.answers.rooms) == (Step.NICK, room)
        setup.back()
    assert advance(setup, address=f"localhost:{relay.address[1]}") == []
    assert setup.step is Step.TRUST
    assert not setup.nick_is_fixed
    attempts = advance(setup, trust="file", ca_file=str(relay.certificates.ca_file))
    assert [(one.purpose, one.ca) for one in attempts] == [("probe", relay.certificates.ca_file)]
    advance(setup)
    advance(setup)
    assert setup.wants_code
    assert setup.note == "This server lets in only people with an account."
