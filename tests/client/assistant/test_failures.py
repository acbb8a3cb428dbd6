from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from securechat.client import link, srv
from securechat.client.assistant import ca_fetch, failures, trial
from securechat.client.assistant.failures import Explanation, explain_failure
from securechat.client.assistant.trial import Attempt, Verdict
from securechat.client.events import Disconnected
from securechat.client.settings.address import Address
from securechat.errors import (
    CertificateRejected,
    ConfigError,
    ConnectionLost,
    LoginFailed,
    NetworkError,
    RemoteProtocolError,
    SecureChatError,
    TlsError,
)
from securechat.net import connection, dialer, tls
from tests.client.scripted_server import Peer, Pki, serving
from tests.client.trials import (
    PROTOCOL_VERSION_ALERT,
    attempt_at,
    bad_certificate,
    closed_port,
    plain_server,
    run_trial,
)
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Certificates


def explained(verdict: Verdict, **more: bool) -> Explanation:
    assert isinstance(verdict.event, Disconnected)
    assert verdict.event.error is not None
    found = explain_failure(verdict.event.error, **more)
    assert all(getattr(found, field.name) for field in fields(found))
    return found


CERTIFICATES = [
    ("expired", "trust", "has expired", "clock of this computer is wrong"),
    ("not-yet-valid", "trust", "is not valid yet", "a clock is wrong"),
    ("hostname", "address", "for another name", "led you to another server"),
    ("untrusted", "trust", "not of the CA that you trust", "stands between you and the server"),
]


@pytest.mark.parametrize(("check", "mend", "title", "meaning"), CERTIFICATES)
def test_each_failure_of_a_certificate(
    check: str,
    mend: str,
    title: str,
    meaning: str,
    start_relay: StartRelay,
    relay_certificates: Certificates,
    tmp_path: Path,
) -> None:
    relay = start_relay(tls=bad_certificate(check, relay_certificates, tmp_path))
    verdict = run_trial(attempt_at(relay))
    assert isinstance(verdict.event, Disconnected)
    assert isinstance(verdict.event.error, CertificateRejected)
    assert verdict.event.error.check == check
    found = explained(verdict)
    assert found.mend == mend
    assert title in found.title
    assert meaning in found.meaning
    assert "certificate" in found.words


def test_a_ca_that_the_system_does_not_know(start_relay: StartRelay) -> None:
    verdict = run_trial(attempt_at(start_relay(), ca=None))
    found = explained(verdict, own_ca=False)
    assert found.title == "This system does not know the CA of the server"
    assert "Most private servers have a CA of their own" in found.meaning
    assert found.mend == "trust"


def test_every_check_that_can_fail_has_words_of_its_own() -> None:
    checks = {check for check, _text, _advice in tls._VERIFY_FAILURES.values()}
    assert checks == {row[0] for row in CERTIFICATES}
    assert checks | {"invite"} == set(failures._BY_CHECK)
    text, advice = tls._OTHER_FAILURE[1:]
    revoked = CertificateRejected(
        text, check="invalid", advice=advice, detail="certificate revoked"
    )
    found = explain_failure(revoked)
    assert found.title == "The server's certificate did not pass the check"
    assert "withdrawn" in found.meaning
    assert "(certificate revoked)" in found.words


def trial_at(port: int, pki: Pki, *, host: str = "127.0.0.1") -> Verdict:
    return run_trial(Attempt("probe", Address(host, port), pki.ca_file, "guest1234"))


@pytest.mark.parametrize(
    "greeting",
    [
        b":irc.example.org NOTICE * :*** Looking up your hostname\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\xff\xffno TLS either",
    ],
)
def test_a_server_without_tls(greeting: bytes, pki: Pki) -> None:
    with plain_server(greeting) as port:
        found = explained(trial_at(port, pki))
    assert found.title == "The server does not speak TLS"
    assert "6697" in found.advice


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (PROTOCOL_VERSION_ALERT, "The server's encryption is too old"),
        (bytes((21, 3, 1, 0, 2, 2, 40)), "No encrypted connection could be made"),
        (b"", "The connection was broken off at its beginning"),
    ],
)
def test_a_server_that_wants_no_tls_of_ours(answer: bytes, title: str, pki: Pki) -> None:
    with plain_server(answer) as port:
        assert explained(trial_at(port, pki)).title == title


def test_nobody_listens(pki: Pki) -> None:
    found = explained(trial_at(closed_port(), pki))
    assert found.title == "Nothing listens there"
    assert found.mend == "address"


def test_no_such_host(pki: Pki) -> None:
    # RFC 6761, section 6.4: there is never such a name.
    found = explained(trial_at(6697, pki, host="chat.invalid"))
    assert found.title == "There is no such host"
    assert "'chat.invalid'" in found.words


def test_a_server_that_says_nothing(pki: Pki) -> None:
    with plain_server(b"", stays=True) as port:
        attempt = Attempt("probe", Address("127.0.0.1", port), pki.ca_file, "guest1234")
        assert explained(run_trial(attempt, limit_s=0.3)).title == "There is no answer"


def test_a_server_that_speaks_something_else(pki: Pki) -> None:
    def web(peer: Peer) -> None:
        peer.next()
        peer.say_bytes(b"HTTP/1.1 400 Bad Request\r\n" + b"<" * 100_000)

    with serving(pki, web) as server:
        assert explained(trial_at(server.port, pki)).title == "This is not a chat server"


def test_a_server_that_ends_the_connection(pki: Pki) -> None:
    def full(peer: Peer) -> None:
        peer.expect("USER")
        peer.say("ERROR :Too many connections \x1b[2J")

    with serving(pki, full) as server:
        found = explained(trial_at(server.port, pki))
    assert found.title == "The server has ended the connection"
    assert found.words.startswith("Too many connections \N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_that_cannot_be_used(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    verdict = run_trial(Attempt("probe", Address("127.0.0.1", 1), file, "guest1234"))
    found = explained(verdict)
    assert (found.title, found.mend) == ("The CA certificate cannot be used", "trust")


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (NetworkError(text, where="chat.example.org:6697"), None)
        for text in dialer._FAILURES.values()
        if "dial from" not in text  # only of a connection between peers
    ]
    + [
        (TlsError("the TLS handshake took too long"), "There is no answer"),
        (TlsError("TLS failed: {reason}", reason="unsupported protocol"), "too old"),
        (RemoteProtocolError("{what} is wrong", what="it"), "This is not a chat server"),
        (ConnectionLost("connection closed"), "The server has ended the connection"),
        (
            ConnectionLost("Closing link: Disconnected by another device"),
            "Another device of yours has ended this connection",
        ),
        (LoginFailed("SASL authentication failed"), "The server does not let you in"),
    ],
)
def test_what_else_can_fail(error: SecureChatError, title: str | None) -> None:
    found = explain_failure(error)
    assert found.title != "The connection could not be made"
    assert (title or "") in found.title
    assert str(error) in found.words


def test_what_is_not_foreseen_is_told_as_it_is() -> None:
    found = explain_failure(NetworkError("some \x07thing"))
    assert found.title == "The connection could not be made"
    assert found.words == "some \N{REPLACEMENT CHARACTER}thing"


def test_settings_that_cannot_be_used_are_no_failed_connection() -> None:
    found = explain_failure(ConfigError(["one thing", "another \x07thing"]))
    assert found.title == "The settings cannot be used"
    assert found.words == "one thing\nanother \N{REPLACEMENT CHARACTER}thing"


def test_what_the_errors_say_is_known() -> None:
    """The messages that are looked for are those of the code: not all can be provoked."""
    modules = (ca_fetch, dialer, connection, tls, link, srv, trial)
    known = "".join(map(inspect.getsource, modules))
    for message in failures._BY_MESSAGE:
        assert f'"{message}"' in known
