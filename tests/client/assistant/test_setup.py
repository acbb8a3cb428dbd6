from __future__ import annotations

from pathlib import Path

import pytest

from securechat.client.assistant.setup import AccountChoice, Setup, SetupResult, Step
from securechat.client.assistant.trial import Attempt, Verdict
from securechat.client.events import Failure, LoginRejected, Registered, VerificationRequired
from securechat.client.settings.profiles import Network, PasswordSource
from securechat.errors import ConfigError
from tests.client.memory_keyring import memory_keyring
from tests.client.trials import closed_port, run_trial
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, RunningRelay


def advance(setup: Setup) -> Attempt | None:
    """Go on, through a trial if there must be one; return what it was."""
    attempt = setup.next()
    if attempt is not None:
        setup.take(attempt, run_trial(attempt))
    return attempt


def at_step(step: Step, relay: RunningRelay, nick: str = "ann", **more: object) -> Setup:
    """Return a setup whose user has come to ``step``, without an account."""
    setup = Setup(ca_file=relay.certificates.ca_file, **more)  # type: ignore[arg-type]
    setup.answers.address = f"localhost:{relay.address[1]}"
    setup.answers.nick = nick
    while setup.step is not step:
        if setup.step is Step.ACCOUNT:
            setup.answers.account = "later"
        before = setup.step
        advance(setup)
        assert not setup.problems
        assert setup.step is not before or setup.connected
    return setup


def answer(setup: Setup, **answers: str) -> Setup:
    for name, value in answers.items():
        assert hasattr(setup.answers, name)
        setattr(setup.answers, name, value)
    return setup


# ---- address and trust ----


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("chat.example.org", "chat.example.org:6697"),
        (" Chat.Example.org:7000 ", "chat.example.org:7000"),
        ("[::1]:7000", "[::1]:7000"),
        ("ircs://chat.example.org/#home", "chat.example.org:6697"),
    ],
)
def test_an_address(address: str, place: str) -> None:
    setup = answer(Setup(), address=address)
    assert setup.next() is None
    assert (setup.step, setup.place, setup.problems) == (Step.TRUST, place, {})
    assert setup.answers.rooms == ("#home" if "#" in address else "")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "not an address"),
        ("a host", "not a host name"),
        ("host:port", "must be a number"),
        ("irc://chat.example.org", "irc:// is"),
        ("https://chat.example.org", "ircs:// or securechat://"),
        ("securechat://invite/abc", "not complete"),
    ],
)
def test_what_is_no_address(address: str, says: str) -> None:
    setup = answer(Setup(), address=address)
    assert setup.next() is None
    assert setup.step is Step.ADDRESS
    assert says in setup.problems["address"]


def test_a_ca_must_be_given(tmp_path: Path) -> None:
    setup = answer(Setup(), address="localhost")
    setup.next()
    assert setup.next() is None
    assert setup.problems == {"ca_file": "choose the file of the CA"}
    answer(setup, ca_file=str(tmp_path / "no.pem")).next()
    assert "there is no file" in setup.problems["ca_file"]
    assert setup.step is Step.TRUST


def test_the_cas_of_the_system_need_no_file() -> None:
    setup = answer(Setup(), address="localhost", trust="system")
    setup.next()
    attempt = setup.next()
    assert attempt is not None
    assert (attempt.purpose, attempt.ca) == ("probe", None)
    assert setup.step is Step.CONNECTION


# ---- the connection ----


def test_there_is_no_way_on_without_a_connection(relay: RunningRelay) -> None:
    setup = answer(Setup(ca_file=relay.certificates.ca_file), address=f"localhost:{closed_port()}")
    setup.next()
    for _turn in range(3):
        assert advance(setup) is not None
        assert setup.step is Step.CONNECTION
        assert setup.explanation is not None
        assert not setup.connected
    setup.back()
    assert (setup.step, setup.explanation) == (Step.ADDRESS, None)


def test_back_goes_to_what_must_be_mended(relay: RunningRelay, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    relay.certificates.other_ca.cert_pem.write_to_path(other)
    setup = at_step(Step.TRUST, relay)
    advance(answer(setup, ca_file=str(other)))
    assert setup.explanation is not None
    assert setup.explanation.title == "The certificate is not of the CA that you trust"
    setup.back()
    assert setup.step is Step.TRUST
    advance(answer(setup, trust="system"))
    assert setup.explanation is not None
    assert setup.explanation.title == "This system does not know the CA of the server"
    setup.back()
    advance(answer(setup, trust="file", ca_file=str(relay.certificates.ca_file)))
    assert setup.connected
    assert setup.explanation is None


def test_another_address_is_tested_anew(relay: RunningRelay) -> None:
    setup = at_step(Step.NICK, relay)
    assert setup.connected
    setup.back()
    assert setup.step is Step.TRUST
    attempt = setup.next()
    assert attempt is not None
    assert not setup.connected


def test_a_chat_with_several_relays(relay: RunningRelay, tmp_path: Path) -> None:
    setup = Setup(ca_file=relay.certificates.ca_file)
    here = f"localhost:{relay.address[1]}"
    answer(setup, address=f"127.0.0.1:{closed_port()}, {here}", nick="ann")
    while setup.step is not Step.ROOMS:
        if setup.step is Step.ACCOUNT:
            setup.answers.account = "later"
        advance(setup)
        assert not setup.problems
        assert setup.explanation is None
    first = setup.place
    assert first != here
    assert setup.summary()[0] == f"Server: {first}, {here}"
    setup.next()
    network = setup.finish(tmp_path).network
    assert list(map(str, network.given)) == [first, here]


def test_none_of_several_relays(relay: RunningRelay) -> None:
    setup = Setup(ca_file=relay.certificates.ca_file)
    last = closed_port()
    answer(setup, address=f"127.0.0.1:{closed_port()}, 127.0.0.1:{last}")
    setup.next()
    assert advance(setup) is not None
    assert setup.explanation is not None
    assert f"127.0.0.1:{last}" in setup.explanation.words


# ---- the nick ----


@pytest.mark.parametrize(
    ("answers", "field", "says"),
    [
        ({"nick": " "}, "nick", "a nick is one word"),
        ({"nick": "ann lee"}, "nick", "a nick is one word"),
        ({"nick": "a" * 600}, "nick", "too long"),
        ({"realname": "a\rb"}, "realname", ""),
    ],
)
def test_what_is_no_nick(
    answers: dict[str, str], field: str, says: str, relay: RunningRelay
) -> None:
    setup = answer(at_step(Step.NICK, relay), **answers)
    assert setup.next() is None
    assert set(setup.problems) == {field}
    assert says in setup.problems[field]


@pytest.mark.parametrize("nick", ["1ann", "bob"])
def test_a_nick_that_the_server_does_not_take(nick: str, relay: RunningRelay) -> None:
    relay.join("bob")
    setup = at_step(Step.NICK, relay, nick)
    advance(setup)
    assert setup.step is Step.NICK
    assert f"the server does not take the nick {nick}: " in setup.problems["nick"]
    advance(answer(setup, nick="carl"))
    assert (setup.step, setup.problems) == (Step.ACCOUNT, {})


def test_a_reserved_nick_needs_a_login(relay: RunningRelay) -> None:
    relay.account("ann").quit()
    setup = at_step(Step.NICK, relay)
    advance(setup)
    assert setup.step is Step.ACCOUNT
    assert (setup.account_choices, setup.answers.account) == (("login",), "login")
    assert "belongs to an account" in setup.note
    advance(answer(setup, password="wrong password"))
    assert setup.step is Step.ACCOUNT
    assert "account and password do not fit together" in setup.problems["password"]
    advance(answer(setup, password=PASSWORD))
    assert (setup.step, setup.problems) == (Step.PASSWORD, {})


# ---- the account ----


def choices(relay: RunningRelay) -> tuple[tuple[AccountChoice, ...], AccountChoice, str]:
    setup = at_step(Step.NICK, relay)
    advance(setup)
    return setup.account_choices, setup.answers.account, setup.note


@pytest.mark.parametrize(
    ("accounts", "offered", "preferred"),
    [
        ({}, ("login", "register", "later"), "register"),
        ({"registration": "closed"}, ("login", "later"), "later"),
        ({"required": True}, ("login", "register"), "register"),
        ({"required": True, "registration": "closed"}, ("login",), "login"),
    ],
)
def test_which_ways_there_are(
    accounts: dict[str, object],
    offered: tuple[str, ...],
    preferred: str,
    start_relay: StartRelay,
) -> None:
    found, chosen, note = choices(start_relay(accounts=accounts))
    assert (found, chosen) == (offered, preferred)
    assert bool(note) == ("required" in accounts)


@pytest.mark.parametrize(
    ("answers", "field", "says"),
    [
        ({"password": "", "again": ""}, "password", "the password is empty"),
        ({"password": "a\tb", "again": "a\tb"}, "password", "control characters"),
        ({"again": "another"}, "again", "the two passwords differ"),
        ({"password": "Annabella", "again": "Annabella"}, "password", "the nick is no password"),
        ({"account": "login", "login": "two words"}, "login", "an account is one word"),
        ({"account": "login", "login": ""}, "login", "an account is one word"),
    ],
)
def test_what_is_no_account(
    answers: dict[str, str], field: str, says: str, relay: RunningRelay
) -> None:
    setup = at_step(Step.NICK, relay, "annabella")
    advance(setup)
    answer(setup, account="register", password=PASSWORD, again=PASSWORD)
    assert answer(setup, **answers).next() is None
    assert set(setup.problems) == {field}
    assert says in setup.problems[field]


def registering(relay: RunningRelay, password: str = PASSWORD, **answers: str) -> Setup:
    setup = at_step(Step.NICK, relay)
    advance(setup)
    answer(setup, account="register", password=password, again=password, **answers)
    advance(setup)
    return setup


def test_an_account_is_made_once(relay: RunningRelay) -> None:
    setup = registering(relay)
    assert setup.step is Step.PASSWORD
    setup.back()
    assert setup.step is Step.ACCOUNT
    assert (setup.account_choices, setup.answers.account) == (("login",), "login")
    attempt = advance(setup)
    assert attempt is not None
    assert (attempt.purpose, attempt.account) == ("login", "ann")
    assert setup.step is Step.PASSWORD


def test_a_weak_password(relay: RunningRelay) -> None:
    setup = registering(relay, password="short")
    assert "at least 8 characters" in setup.problems["password"]
    assert setup.step is Step.ACCOUNT


def test_an_invitation(start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    setup = registering(relay)
    assert "wants an invitation code" in setup.problems["email"]
    advance(answer(setup, email="no-such-code"))
    assert setup.problems["email"].startswith("the server says no: ")


def verdict_on(
    setup: Setup, event: Registered | VerificationRequired | Failure | LoginRejected
) -> None:
    attempt = setup.next()
    assert attempt is not None
    setup.take(attempt, Verdict(event))


def test_an_account_that_must_be_verified_first(relay: RunningRelay) -> None:
    setup = at_step(Step.NICK, relay)
    advance(setup)
    answer(setup, account="register", password=PASSWORD, again=PASSWORD)
    verdict_on(setup, VerificationRequired("ann", "Read your \x1bmail"))
    assert (setup.step, setup.answers.account) == (Step.ACCOUNT, "login")
    assert setup.note.endswith("Read your \N{REPLACEMENT CHARACTER}mail")


def test_an_account_that_is_there_already(relay: RunningRelay) -> None:
    setup = at_step(Step.NICK, relay)
    advance(setup)
    answer(setup, account="register", password=PASSWORD, again=PASSWORD)
    verdict_on(
        setup, Failure("REGISTER", "ACCOUNT_EXISTS", ("ann",), "This account exists already")
    )
    assert setup.problems == {"account": "the server says no: This account exists already"}


def test_a_server_without_a_way_to_log_in(relay: RunningRelay) -> None:
    setup = answer(at_step(Step.NICK, relay), nick="ann")
    advance(setup)
    answer(setup, account="login", password=PASSWORD)
    verdict_on(setup, LoginRejected("ann", "", "the server offers no login (SASL)"))
    assert setup.problems == {"password": "the server offers no login (SASL)"}


# ---- the password ----


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "give the command"),
        ("pass 'show chat", "a quotation mark has no end"),
        ("no-such-program-here chat", "there is no program no-such-program-here"),
    ],
)
def test_what_is_no_command(command: str, says: str, relay: RunningRelay) -> None:
    setup = answer(registering(relay), keep="command", command=command)
    assert setup.next() is None
    assert setup.step is Step.PASSWORD
    assert says in setup.problems["command"]


# ---- the end ----


@pytest.mark.parametrize(
    ("answers", "field", "says"),
    [
        ({"network": "my net"}, "network", "a name has up to 40"),
        ({"network": ""}, "network", "a name has up to 40"),
        ({"network": "HOME"}, "network", "there is a network of this name"),
        ({"rooms": "#a, b c"}, "rooms", "this cannot be a room: #b c"),
    ],
)
def test_what_is_no_network(
    answers: dict[str, str], field: str, says: str, relay: RunningRelay
) -> None:
    networks = {"home": Network("localhost", "ann")}
    setup = answer(at_step(Step.ROOMS, relay, networks=networks), **answers)
    assert setup.next() is None
    assert setup.step is Step.ROOMS
    assert says in setup.problems[field]


@pytest.mark.parametrize(
    ("network", "taken", "name"),
    [
        ("TestNet", [], "TestNet"),
        ("TestNet", ["testnet", "TestNet-2"], "TestNet-3"),
        ("The Net: of ann!", [], "The-Net-of-ann"),
        ("\x1b", [], "localhost"),
    ],
)
def test_the_name_that_is_suggested(
    network: str, taken: list[str], name: str, start_relay: StartRelay
) -> None:
    networks = {name: Network("localhost", "ann") for name in taken}
    setup = at_step(Step.ACCOUNT, start_relay(), networks=networks)
    setup.server = type(setup.server)(network=network)
    answer(setup, account="later")
    setup.next()
    assert setup.answers.network == name


def test_a_network_without_an_account(relay: RunningRelay, tmp_path: Path) -> None:
    setup = answer(at_step(Step.ROOMS, relay), rooms="home, #garden,,", realname=" Ann Lee ")
    assert setup.next() is None
    assert setup.step is Step.DONE
    result = setup.finish(tmp_path / "settings")
    ca = tmp_path / "settings" / "TestNet-ca.pem"
    assert result == SetupResult(
        "TestNet",
        Network(
            "localhost",
            "ann",
            port=relay.address[1],
            ca=ca,
            realname="Ann Lee",
            rooms=("#home", "#garden"),
        ),
        None,
    )
    assert ca.read_bytes().strip() == relay.certificates.ca_file.read_bytes().strip()


@pytest.mark.parametrize(
    ("answers", "source", "line"),
    [
        ({"keep": "prompt"}, PasswordSource("prompt"), "Password: asked for at each start"),
        (
            {"keep": "command", "command": "cat '/my secret'"},
            PasswordSource("command", run=("cat", "/my secret")),
            "Password: printed by a command",
        ),
        (
            {"keep": "keyring"},
            PasswordSource("keyring"),
            "Password: kept in the keyring of this system",
        ),
    ],
)
def test_a_network_with_an_account(
    answers: dict[str, str], source: PasswordSource, line: str, relay: RunningRelay, tmp_path: Path
) -> None:
    setup = answer(registering(relay), **answers)
    setup.next()
    assert setup.summary() == (
        f"Server: localhost:{relay.address[1]}",
        f"Trusted: {setup.look_at_ca().authorities[0].name}",
        "Nick: ann",
        "Account: ann",
        line,
    )
    setup.next()
    assert setup.step is Step.DONE
    with memory_keyring() as memory:
        result = setup.finish(tmp_path)
    assert result.password == PASSWORD
    assert result.network.password == source
    assert result.network.account == ""
    assert PASSWORD not in repr((result, setup.answers))
    kept = {(f"securechat:localhost:{relay.address[1]}", "ann"): PASSWORD}
    assert memory.kept == (kept if source.kind == "keyring" else {})


def test_another_account_than_the_nick(relay: RunningRelay, tmp_path: Path) -> None:
    relay.account("ann").quit()
    setup = at_step(Step.NICK, relay, "annie")
    advance(setup)
    advance(answer(setup, account="login", login="ann", password=PASSWORD))
    advance(setup)
    advance(setup)
    assert setup.finish(tmp_path).network.account == "ann"


def test_a_keyring_that_refuses(relay: RunningRelay, tmp_path: Path) -> None:
    setup = answer(registering(relay), keep="keyring")
    setup.next()
    setup.next()
    with memory_keyring() as memory:
        memory.locked = True
        with pytest.raises(ConfigError) as caught:
            setup.finish(tmp_path)
    setup.not_finished(caught.value)
    assert setup.step is Step.ROOMS
    assert "keyring" in setup.problems["network"]
    setup.back()
    assert setup.step is Step.PASSWORD


def test_back_from_the_rooms_without_an_account(relay: RunningRelay) -> None:
    setup = at_step(Step.ROOMS, relay)
    setup.back()
    assert setup.step is Step.ACCOUNT
    for step in (Step.NICK, Step.TRUST, Step.ADDRESS, Step.ADDRESS):
        setup.back()
        assert setup.step is step
