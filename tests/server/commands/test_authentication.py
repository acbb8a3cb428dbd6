"""AUTHENTICATE."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.irc.sasl import ScramClient, authenticate_chunks, plain_response
from securechat.store.accounts import Accounts
from securechat.store.database import open_database
from securechat.store.passwords import Argon2Parameters
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    PASSWORD,
    Client,
    Closed,
    FakeClock,
    RunningRelay,
    commands,
    short,
)

USER = "USER ann 0 * :Ann"
FAILED = "904 * :SASL authentication failed"
SUCCESS = "903 * :SASL authentication successful"
CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)


@pytest.fixture
def with_ann(relay: RunningRelay) -> RunningRelay:
    """A relay where ann has an account and is away."""
    relay.account("ann").quit()
    return relay


def sasl(relay: RunningRelay, certificate: Path | None = None) -> Client:
    client = relay.connect(certificate=certificate)
    client.request("sasl")
    return client


def begin(client: Client, mechanism: str) -> None:
    client.send(f"AUTHENTICATE {mechanism}")
    client.expect("AUTHENTICATE", "+")


# ---- the ways to log in ----


def test_plain(with_ann: RunningRelay) -> None:
    """ "If authentication is successful, a 900 and 903 numeric will be sent."
    ":server 900 <nick> <nick>!<ident>@<host> <account> :You are now logged in as <user>" """
    client = sasl(with_ann)
    first, second = client.authenticate_plain("ann")
    assert first.startswith("900 * *!*@")
    assert first.endswith(" ann :You are now logged in as ann")
    assert second == SUCCESS
    client.register("ann")
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")


def test_the_server_begins_with_an_empty_challenge(with_ann: RunningRelay) -> None:
    """ "If the chosen mechanism is client-first, the server sends an empty response (AUTHENTICATE
    +" """
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "plain"):
        assert sasl(with_ann).ask(f"AUTHENTICATE {mechanism}") == ["AUTHENTICATE +"]


def test_scram(with_ann: RunningRelay) -> None:
    """ "If the mechanism finishes with the server sending a non-empty challenge (such as in SCRAM),
    clients MUST still send an empty response." """
    client = sasl(with_ann)
    found = client.authenticate_scram("ANN")
    assert commands(found) == ["900", "903"]
    assert found[0].endswith(" ann :You are now logged in as ann")
    assert client.register("ann")


def test_external(start_relay: StartRelay) -> None:
    """The common name in a certificate of the CA for clients is the account."""
    relay = start_relay(tls={"client_ca": None})
    relay.stop()
    relay = start_relay(tls={"client_ca": relay.certificates.ca_file})
    certificate = relay.certificates.of_person("Ann")
    client = sasl(relay, certificate)
    assert "sasl=SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN,EXTERNAL" in " ".join(
        client.ask("CAP LS 302")
    )
    begin(client, "EXTERNAL")
    assert commands(client.ask("AUTHENTICATE +")) == ["900", "903"]
    client.register("Ann")
    # It is an account like others from now on, but has no password.
    assert sasl(relay).authenticate_plain("Ann") == [FAILED]
    assert sasl(relay).authenticate_scram("Ann") == [FAILED]
    assert commands(relay.connect().ask("NICK ann", USER)) == ["433"]
    other = sasl(relay, certificate)
    begin(other, "EXTERNAL")
    found = other.ask(f"AUTHENTICATE {base64.b64encode(b'ann').decode()}")
    assert commands(found) == ["900", "903"]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_scram_plus(start_relay: StartRelay, newest: ssl.TLSVersion) -> None:
    """RFC 5929: tls-server-end-point, "the hash of the TLS server's certificate" as sent, is the
    same in TLS 1.2 and 1.3."""
    relay = start_relay(tls={"minimum_version": "1.2"})
    relay.account("ann").quit()
    client = relay.connect(newest=newest)
    client.request("sasl")
    assert client.sock.version() == f"TLSv1.{newest - ssl.TLSVersion.TLSv1}"
    found = client.authenticate_scram("ann", binding=client.binding)
    assert commands(found) == ["900", "903"]


def test_scram_bound_to_another_certificate(with_ann: RunningRelay) -> None:
    """Somebody in between, with a certificate that the client trusts, cannot pass the login on."""
    client = sasl(with_ann)
    assert client.authenticate_scram("ann", binding=b"another") == [FAILED]


def test_scram_downgrade(with_ann: RunningRelay) -> None:
    """RFC 5802: "If the flag is set to "y" and the server supports channel binding, the server MUST
    fail authentication." """
    client = sasl(with_ann)
    begin(client, "SCRAM-SHA-256")
    client.answer(b"y,,n=ann,r=abc")
    assert client.seen() == [FAILED]
    begin(client, "SCRAM-SHA-256-PLUS")
    client.answer(b"n,,n=ann,r=abc")
    assert client.seen() == [FAILED]


@pytest.fixture
def with_client_ca(start_relay: StartRelay, relay_certificates: object) -> RunningRelay:
    return start_relay(tls={"client_ca": relay_certificates.ca_file})  # type: ignore[attr-defined]


def test_external_for_another_account(with_client_ca: RunningRelay) -> None:
    """RFC 4422: the authorization identity must be one that the certificate stands for."""
    relay = with_client_ca
    client = sasl(relay, relay.certificates.of_person("ann"))
    begin(client, "EXTERNAL")
    assert client.ask(f"AUTHENTICATE {base64.b64encode(b'bob').decode()}") == [FAILED]
    begin(client, "EXTERNAL")
    assert client.ask(f"AUTHENTICATE {base64.b64encode(b'bob' + bytes([255])).decode()}") == [
        FAILED
    ]


def test_external_with_a_name_that_is_no_nick(with_client_ca: RunningRelay) -> None:
    relay = with_client_ca
    client = sasl(relay, relay.certificates.of_person("Ann of Green Gables"))
    begin(client, "EXTERNAL")
    assert client.ask("AUTHENTICATE +") == [FAILED]


def test_external_without_a_certificate(with_client_ca: RunningRelay) -> None:
    """ "Servers SHOULD advertise the available SASL authentication mechanisms": only those."""
    client = sasl(with_client_ca)
    assert "sasl=SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN " in " ".join(client.ask("CAP LS 302"))
    assert client.ask("AUTHENTICATE EXTERNAL") == [
        "908 * SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN :are available SASL mechanisms",
        FAILED,
    ]


def test_a_certificate_of_another_ca(with_client_ca: RunningRelay) -> None:
    """It is refused in the handshake: nothing of IRC is said."""
    relay = with_client_ca
    certificate = relay.certificates.of_person("ann", relay.certificates.other_ca)
    try:
        client = relay.connect(certificate=certificate)
        with pytest.raises((ssl.SSLError, Closed)):
            client.ask("CAP LS")
    except (ssl.SSLError, ConnectionError):
        pass
    assert relay.join("bob").ask("ISON ann") == ["303 bob :"]


def test_a_certificate_without_a_ca_for_clients_is_ignored(relay: RunningRelay) -> None:
    client = sasl(relay, relay.certificates.of_person("ann"))
    assert "EXTERNAL" not in client.ask("CAP LS 302")[0]


# ---- what goes wrong ----


def test_wrong_password_and_unknown_account_look_alike(with_ann: RunningRelay) -> None:
    """ "904 aka ERR_SASLFAIL is sent when the SASL authentication fails because of invalid
    credentials"; which of them, nobody is told."""
    for account in ("ann", "nobody", "", "a\0b"[:1]):
        assert sasl(with_ann).authenticate_plain(account, "wrong password") == [FAILED]
    for account in ("ann", "nobody"):
        assert sasl(with_ann).authenticate_scram(account, "wrong password") == [FAILED]


def scram_challenge(relay: RunningRelay, account: str) -> tuple[list[str], bytes]:
    client = sasl(relay)
    scram = ScramClient(account, "x", secrets.token_urlsafe(18))
    begin(client, "SCRAM-SHA-256")
    client.answer(scram.respond(b""))
    challenge = client.challenge()
    return challenge.decode().split(",")[1:], challenge


def test_the_challenge_for_an_unknown_account_tells_nothing(with_ann: RunningRelay) -> None:
    """RFC 5802: the salt of an account is always the same, so that of no account must be too."""
    known, unknown = scram_challenge(with_ann, "ann"), scram_challenge(with_ann, "nobody")
    assert scram_challenge(with_ann, "ANN")[0] == known[0]
    assert scram_challenge(with_ann, "NoBody")[0] == unknown[0]
    assert known[0] != unknown[0]
    assert [len(part) for part in known[0]] == [len(part) for part in unknown[0]]
    assert known[0][1] == unknown[0][1]


def test_an_unknown_account_never_gets_in_with_scram(with_ann: RunningRelay) -> None:
    """Whatever the proof: the made-up verifier belongs to no account."""
    client = sasl(with_ann)
    scram = ScramClient("nobody", PASSWORD, secrets.token_urlsafe(18))
    begin(client, "SCRAM-SHA-256")
    client.answer(scram.respond(b""))
    client.answer(scram.respond(client.challenge()))
    assert client.seen() == [FAILED]
    assert client.ask("AUTHENTICATE +")[0].startswith("908 ")


def proved(relay: RunningRelay, account: str) -> tuple[Client, bytes]:
    """Return a client that has proved to know the password, and what it must say to be in."""
    client = sasl(relay)
    scram = ScramClient(account, PASSWORD, secrets.token_urlsafe(18))
    begin(client, "SCRAM-SHA-256")
    client.answer(scram.respond(b""))
    client.answer(scram.respond(client.challenge()))
    return client, scram.respond(client.challenge())


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda accounts: accounts.set_credentials("ann", "new", "new"), FAILED),
        (lambda accounts: accounts.delete("ann"), FAILED),
        (
            lambda accounts: accounts.suspend("ann", "spam"),
            "902 * :This account is suspended: spam",
        ),
    ],
    ids=["new password", "deleted", "suspended"],
)
def test_what_has_changed_before_the_end_of_a_scram_login_counts(
    with_ann: RunningRelay, change: Callable[[Accounts], None], answer: str
) -> None:
    """A client may take its time: meanwhile the account can be somebody else's."""
    client, last = proved(with_ann, "ann")
    with_ann.relay.services.store.call(lambda connection: change(Accounts(connection)))
    client.answer(last)
    assert client.seen() == [answer]


def test_one_may_try_again(with_ann: RunningRelay) -> None:
    """ "If authentication fails, a 904 or 905 numeric will be sent and the client MAY retry from
    the AUTHENTICATE <mechanism> command." """
    client = sasl(with_ann)
    assert client.authenticate_plain("ann", "wrong password") == [FAILED]
    assert commands(client.authenticate_scram("ann")) == ["900", "903"]


def test_abort(with_ann: RunningRelay) -> None:
    """ "The client can abort an authentication by sending an asterisk as the data. The server will
    send a 906 numeric." """
    client = sasl(with_ann)
    aborted = "906 * :SASL authentication aborted"
    begin(client, "PLAIN")
    assert client.ask("AUTHENTICATE *") == [aborted]
    begin(client, "SCRAM-SHA-256")
    client.answer(ScramClient("ann", "x", "nonce").respond(b""))
    client.expect("AUTHENTICATE")
    assert client.ask("AUTHENTICATE *") == [aborted]
    assert commands(client.authenticate_plain("ann")) == ["900", "903"]


def test_unknown_mechanism(with_ann: RunningRelay) -> None:
    """ ":server 908 <nick> <mechanisms> :are available SASL mechanisms" """
    for mechanism in ("NONSENSE", "SCRAM-SHA-1", "SCRAM-SHA-512-PLUS", "+", "x" * 400):
        assert sasl(with_ann).ask(f"AUTHENTICATE {mechanism}") == [
            "908 * SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN :are available SASL mechanisms",
            FAILED,
        ]
    assert sasl(with_ann).ask("AUTHENTICATE") == ["461 * AUTHENTICATE :Not enough parameters"]


def test_reauthentication(with_ann: RunningRelay) -> None:
    """sasl-3.2: "Servers SHOULD allow a client, authenticated or otherwise, to reauthenticate by
    sending a new AUTHENTICATE message at any time." """
    with_ann.account("bob").quit()
    client = sasl(with_ann)
    for account in ("ann", "bob", "ann"):
        assert commands(client.authenticate_plain(account)) == ["900", "903"]
    client.register("ann")
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")
    assert commands(client.authenticate_plain("ann")) == ["900", "903"]
    begin(client, "PLAIN")
    assert client.ask("AUTHENTICATE *") == ["906 ann :SASL authentication aborted"]
    assert client.authenticate_plain("bob", "wrong") == [FAILED.replace("*", "ann", 1)]
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")


def test_another_account(with_ann: RunningRelay) -> None:
    """It has what is its own: a nick that is the first account's is given up."""
    with_ann.account("bob").quit()
    cat = with_ann.join("cat", "account-notify", "message-tags")
    client = with_ann.login("ann", "account-notify", "message-tags", "draft/chathistory", "batch")
    client.ask("JOIN #den", "PRIVMSG cat :mine")
    cat.ask("JOIN #den")
    client.sync()
    found = client.authenticate_plain("bob")
    assert found[1:] == [
        "903 ann :SASL authentication successful",
        ":ann ACCOUNT bob",
        ":ann MODE #den -o ann",
        ":ann NICK bob",
    ]
    told = cat.sync()
    assert [short(message) for message in told] == found[2:]
    assert len({message.tags["msgid"] for message in told}) == 3  # "MUST be a unique ID"
    assert "330 bob bob bob :is logged in as" in client.ask("WHOIS bob")
    assert client.ask("MODE #den +m") == ["482 bob #den :You're not channel operator"]
    assert len(client.ask("CHATHISTORY LATEST cat * 5")) == 2  # an empty batch
    ann = with_ann.login("ann")
    ann.ask("JOIN #den")
    assert ann.ask("MODE #den +m") == [":ann MODE #den +m"]


def test_another_account_where_it_cannot_be(with_ann: RunningRelay) -> None:
    """ "If reauthentication is not available, an error appropriate to the circumstances MUST be
    sent (for instance, ERR_SASLALREADY is appropriate if changing accounts is not supported)." """
    with_ann.account("bob").quit()
    client, other = with_ann.login("ann"), with_ann.login("ann")
    text = "Other devices of yours have the account that you have; disconnect them"
    assert client.authenticate_plain("bob") == [f"907 ann :{text}"]
    assert commands(client.authenticate_plain("ann")) == ["900", "903"]
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")
    other.quit()
    assert commands(client.authenticate_plain("bob")) == ["900", "903", "NICK"]


def test_unfinished_at_the_end_of_registration(with_ann: RunningRelay) -> None:
    """ "If the client completes registration (with CAP END, NICK, USER and any other necessary
    messages) while the SASL authentication is still in progress, the server SHOULD abort it and
    send a 906 numeric, then register the client without authentication." """
    client = sasl(with_ann)
    begin(client, "PLAIN")
    found = client.ask("NICK bob", USER, "CAP END")
    assert found[0] == "906 bob :SASL authentication aborted"
    assert commands(found)[1] == "001"
    assert not any(line.startswith("330") for line in client.ask("WHOIS bob"))


@pytest.mark.parametrize(
    "response", ["!!!", "YQ", "YQ==YQ==", "é", "YWJj", "AA==", "YQBiAGMAZA==", "/wD/AP8="]
)
def test_malformed_responses(with_ann: RunningRelay, response: str) -> None:
    """Bad base64, too few or many fields, no UTF-8: 904 "or other errors"."""
    client = sasl(with_ann)
    begin(client, "PLAIN")
    assert client.ask(f"AUTHENTICATE {response}") == [FAILED]


def test_malformed_scram(with_ann: RunningRelay) -> None:
    for message in (b"", b"n,,", b"n,,n=ann", b"p=tls,,n=ann,r=x", b"n,,r=x,n=ann", b"\xff" * 9):
        client = sasl(with_ann)
        begin(client, "SCRAM-SHA-256")
        client.answer(message)
        assert client.seen() == [FAILED]
    client = sasl(with_ann)
    begin(client, "SCRAM-SHA-256")
    client.answer(b"n,,n=ann,r=x")
    client.expect("AUTHENTICATE")
    client.answer(b"c=biws,r=other,p=AAAA")
    assert client.seen() == [FAILED]


def test_acting_as_another_account(with_ann: RunningRelay) -> None:
    """RFC 4616: an authorization identity is one that the authenticated may act as."""
    client = sasl(with_ann)
    begin(client, "PLAIN")
    client.answer(b"root\0ann\0" + PASSWORD.encode())
    assert client.seen() == [FAILED]
    begin(client, "PLAIN")
    client.answer(b"ann\0ann\0" + PASSWORD.encode())
    assert commands(client.seen()) == ["900", "903"]


# ---- chunks ----


@pytest.mark.parametrize("size", [1, 299, 300, 301, 599, 600, 601])
def test_responses_in_chunks(with_ann: RunningRelay, size: int) -> None:
    """ "split to 400-byte chunks (…) If the last chunk was exactly 400 bytes long, it must also be
    followed by AUTHENTICATE + to signal end of response." 300 bytes are 400 in base64."""
    client = sasl(with_ann)
    begin(client, "PLAIN")
    response = plain_response("ann", "x" * max(size - 5, 0))[:size]
    chunks = authenticate_chunks(response)
    *most, last = chunks
    assert len(chunks) == -(-size // 3) * 4 // 400 + 1
    assert client.ask(*(f"AUTHENTICATE {chunk}" for chunk in most)) == []
    assert client.ask(f"AUTHENTICATE {last}") == [FAILED]


def test_a_long_password_works(relay: RunningRelay) -> None:
    """A password that fits REGISTER may need two chunks."""
    password = "long and " + "secret " * 41
    ann = relay.join("ann", "draft/account-registration")
    ann.send(f"REGISTER * * :{password}")
    ann.expect("REGISTER", "SUCCESS")
    ann.quit()
    assert commands(sasl(relay).authenticate_plain("ann", password)) == ["900", "903"]
    assert commands(sasl(relay).authenticate_scram("ann", password)) == ["900", "903"]


def test_too_long(with_ann: RunningRelay) -> None:
    """ "905 aka ERR_SASLTOOLONG is sent when (…) the client-sent AUTHENTICATE command was too long
    (i.e. the parameter longer than 400 bytes)." "The server MAY place a limit on the total" """
    too_long = "905 * :SASL message too long"
    client = sasl(with_ann)
    begin(client, "PLAIN")
    assert client.ask(f"AUTHENTICATE {'A' * 401}") == [too_long]
    begin(client, "PLAIN")
    answers = []
    for _ in range(100):
        answers = client.ask(f"AUTHENTICATE {'A' * 400}")
        if answers:
            break
    assert answers == [too_long]
    assert commands(client.authenticate_plain("ann")) == ["900", "903"]


# ---- how often one may fail ----

THROTTLED = "904 * :Too many failed logins; wait a minute"


def test_failures_are_throttled(start_relay: StartRelay, clock: FakeClock) -> None:
    """An account is closed to guessing for a while; the right password is not even looked at."""
    relay = start_relay(clock=clock, accounts={"failures_per_minute": 4})
    relay.account("ann").quit()
    clock.now += 60
    for _ in range(4):
        assert sasl(relay).authenticate_plain("ann", "wrong password") == [FAILED]
    assert sasl(relay).authenticate_plain("ann") == [THROTTLED]
    client = sasl(relay)
    begin(client, "SCRAM-SHA-256")
    client.answer(ScramClient("bob", "x", "nonce").respond(b""))
    assert client.seen() == [THROTTLED]
    clock.now += 15
    assert commands(sasl(relay).authenticate_plain("ann")) == ["900", "903"]


def test_no_throttle_if_so_configured(start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"failures_per_minute": 0})
    for _ in range(12):
        assert sasl(relay).authenticate_plain("ann", "wrong password") == [FAILED]


def test_too_many_failures_close_the_connection(with_ann: RunningRelay) -> None:
    """ "Servers MAY disconnect ANY client at any time as a result of failed authentication" """
    client = sasl(with_ann)
    for _ in range(4):
        assert client.authenticate_plain("ann", "wrong password") == [FAILED]
    begin(client, "PLAIN")
    client.answer(plain_response("ann", "wrong password"))
    assert client.read_to_end() == [
        FAILED,
        "ERROR :Closing link: Too many SASL authentication failures",
    ]


# ---- logging in later ----


def test_login_as_a_guest_later(with_ann: RunningRelay) -> None:
    """ "Servers SHOULD allow a client, authenticated or otherwise, to reauthenticate by sending a
    new AUTHENTICATE message at any time." """
    client = with_ann.join("bob", "sasl", "account-notify")
    host = with_ann.session("bob").host
    assert client.authenticate_plain("ann") == [
        f"900 bob bob!~bob@{host} ann :You are now logged in as ann",
        "903 bob :SASL authentication successful",
        ":bob ACCOUNT ann",
    ]
    assert client.ask("NICK ann") == [":bob NICK ann"]


def test_lines_wait_for_the_login_and_others_do_not(with_ann: RunningRelay) -> None:
    """A session is held while its password is hashed; its lines keep their order."""
    client = sasl(with_ann)
    begin(client, "PLAIN")
    response = plain_response("ann", PASSWORD)
    found = client.ask(
        *(f"AUTHENTICATE {chunk}" for chunk in authenticate_chunks(response)),
        "NICK ann", USER, "CAP END", "JOIN #a",
    )  # fmt: skip
    assert commands(found)[:3] == ["900", "903", "001"]
    assert commands(found)[-3:] == ["JOIN", "353", "366"]


# ---- accounts that are suspended ----


@pytest.fixture
def with_suspended(with_client_ca: RunningRelay) -> RunningRelay:
    """A relay where ann, who has a password and a certificate, is suspended."""
    relay = with_client_ca
    relay.account("ann").quit()
    relay.relay.services.store.call(lambda c: Accounts(c).suspend("ann", "spam"))
    return relay


SUSPENDED = "902 * :This account is suspended: spam"


def test_a_suspended_account_is_told_to_who_has_its_password(
    with_suspended: RunningRelay,
) -> None:
    """ "902 aka ERR_NICKLOCKED is sent when the SASL authentication fails because the account is
    currently locked out, held, or otherwise administratively made unavailable." """
    client = sasl(with_suspended)
    for try_login in (client.authenticate_plain, client.authenticate_scram):
        assert try_login("ann") == [SUSPENDED]
        assert try_login("ann", "wrong password") == [FAILED]


def test_a_suspended_account_is_told_to_who_has_its_certificate(
    with_suspended: RunningRelay,
) -> None:
    client = sasl(with_suspended, with_suspended.certificates.of_person("ann"))
    begin(client, "EXTERNAL")
    assert client.ask("AUTHENTICATE +") == [SUSPENDED]


def test_tries_for_a_suspended_account_end(with_suspended: RunningRelay) -> None:
    client = sasl(with_suspended)
    for _ in range(5):
        client.send("AUTHENTICATE PLAIN")
        client.expect("AUTHENTICATE", "+")
        client.answer(plain_response("ann", PASSWORD))
    assert client.read_to_end()[-2:] == [
        SUSPENDED,
        "ERROR :Closing link: Too many SASL authentication failures",
    ]


def test_accounts_last(start_relay: StartRelay) -> None:
    """Over a restart: the password, the nick that is reserved, the salts of nobody."""
    relay = start_relay()
    relay.account("ann")
    salt = scram_challenge(relay, "nobody")[0]
    relay.stop()
    relay = start_relay()
    assert scram_challenge(relay, "nobody")[0] == salt
    assert commands(relay.connect().ask("NICK ANN", USER)) == ["433"]
    client = relay.login("ann")
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")
    again = relay.join("bob").ask("NICK bobby", f"REGISTER * * :{PASSWORD}")
    assert again[1].startswith("REGISTER SUCCESS bobby ")


def test_an_old_hash_is_upgraded(start_relay: StartRelay) -> None:
    """Stored with their parameters, upgraded on login; both ways to log in still work."""
    relay = start_relay(accounts={"argon2_iterations": 2})
    relay.account("ann")
    relay.stop()
    relay = start_relay()
    assert commands(sasl(relay).authenticate_plain("ann")) == ["900", "903"]
    relay.stop()
    connection = open_database(relay.config.store.path)
    (phc,) = connection.execute("SELECT password_hash FROM accounts").fetchone()
    connection.close()
    assert ",t=1," in phc
    relay = start_relay()
    assert commands(sasl(relay).authenticate_plain("ann")) == ["900", "903"]
    assert commands(sasl(relay).authenticate_scram("ann")) == ["900", "903"]


def test_a_session_that_ends_during_a_login(with_ann: RunningRelay) -> None:
    """The answer finds nobody; nothing else happens."""
    client = sasl(with_ann)
    begin(client, "PLAIN")
    client.answer(plain_response("ann", PASSWORD))
    client.vanish()
    other = with_ann.login("ann")
    assert [short(m) for m in other.collect("ISON ann")] == ["303 ann ann"]
