from __future__ import annotations

import queue
import tempfile
from pathlib import Path

import pytest
import trustme

from securechat.client.assistant.ca_file import CaFile
from securechat.client.assistant.trial import Attempt, Trial, Verdict
from securechat.client.client import Client
from securechat.client.events import (
    AccountRequired,
    Connected,
    Disconnected,
    Event,
    Failure,
    LoginRejected,
    NickRejected,
    Registered,
    VerificationRequired,
    Welcome,
)
from securechat.client.settings.address import Address
from securechat.errors import CertificateRejected, LocalProtocolError
from tests.client.invites import ca_hash, giving
from tests.client.scripted_server import Peer, Pki, serving
from tests.client.trials import attempt_at, plain_server, run_trial
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, NETWORK, PASSWORD, RunningRelay


def test_a_probe_tells_what_the_server_is(relay: RunningRelay) -> None:
    verdict = run_trial(attempt_at(relay))
    assert isinstance(verdict.event, Welcome)
    server = verdict.server
    assert (server.network, server.tls_version) == (NETWORK, "TLSv1.3")
    assert server.can_log_in
    assert server.can_register
    assert not server.email_required
    assert not server.account_required


def test_when_a_trial_has_ended_its_nick_is_free(relay: RunningRelay) -> None:
    run_trial(attempt_at(relay, "nick", "ann"))
    assert relay.relay.services.network.find_user("ann") is None


def test_a_server_that_lets_in_only_people_with_an_account(start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"required": True, "registration": "invite"})
    for purpose in ("probe", "nick"):
        verdict = run_trial(attempt_at(relay, purpose))
        assert isinstance(verdict.event, AccountRequired)
        assert verdict.server.account_required
        assert verdict.server.email_required


def test_a_nick_that_is_in_use(relay: RunningRelay) -> None:
    relay.join("ann")
    event = run_trial(attempt_at(relay, "nick", "ann")).event
    assert isinstance(event, NickRejected)
    assert not event.reserved


def test_a_nick_that_is_reserved(relay: RunningRelay) -> None:
    relay.account("ann").quit()
    verdict = run_trial(attempt_at(relay, "nick", "ann"))
    assert isinstance(verdict.event, NickRejected)
    assert verdict.event.reserved
    assert verdict.server.can_log_in


@pytest.mark.parametrize("required", [False, True])
def test_an_account_is_made_and_logged_in_to(required: bool, start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"required": required})
    made = run_trial(attempt_at(relay, "register", "ann", password=PASSWORD)).event
    assert made == Registered("ann", "Account registered; you are logged in")
    wrong = run_trial(attempt_at(relay, "login", "ann", account="ann", password="not this")).event
    assert isinstance(wrong, LoginRejected)
    right = run_trial(attempt_at(relay, "login", "ann", account="ann", password=PASSWORD)).event
    assert isinstance(right, Welcome)
    assert right.account == "ann"


def test_what_the_server_refuses(start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    attempt = attempt_at(relay, "register", "ann", password=PASSWORD, email="no-such-code")
    event = run_trial(attempt).event
    assert isinstance(event, Failure)
    assert event.code == "INVALID_EMAIL"


def test_an_account_that_must_be_verified(pki: Pki) -> None:
    def verify(peer: Peer) -> None:
        peer.register()
        peer.expect("REGISTER", "*", "ann@example.org")
        peer.say(":irc.test REGISTER VERIFICATION_REQUIRED ann :Read your mail")
        peer.until_gone()

    with serving(pki, verify) as server:
        address = Address("localhost", server.port)
        attempt = Attempt(
            "register", address, pki.ca_file, "ann", password=PASSWORD, email="ann@example.org"
        )
        event = run_trial(attempt).event
    assert event == VerificationRequired("ann", "Read your mail")


def test_the_certificate_has_passed_before_anything_is_said(relay: RunningRelay) -> None:
    heard: queue.SimpleQueue[Event | Verdict | None] = queue.SimpleQueue()
    Trial(
        attempt_at(relay), on_connected=heard.put, on_end=lambda trial, verdict: heard.put(verdict)
    ).start()
    assert isinstance(heard.get(timeout=LONG_TIMEOUT_S), Connected)
    assert isinstance(heard.get(timeout=LONG_TIMEOUT_S), Verdict)


def test_a_trial_is_broken_off(pki: Pki) -> None:
    ends: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
    with plain_server(b"", stays=True) as port:
        attempt = Attempt("probe", Address("127.0.0.1", port), pki.ca_file, "guest1234")
        trial = Trial(
            attempt, on_connected=ends.put, on_end=lambda trial, verdict: ends.put(verdict)
        )
        trial.start()
        trial.cancel()
        assert ends.get(timeout=LONG_TIMEOUT_S) is None


def attempt_to_fetch(port: int, ca: trustme.CA) -> Attempt:
    address = Address("127.0.0.1", port)
    return Attempt("authority", address, None, "", ca_sha256=ca_hash(ca))


def test_the_ca_of_an_invite(pki: Pki) -> None:
    pem = pki.ca.cert_pem.bytes()
    with giving(pki, lambda peer: peer.say_bytes(pem)) as server:
        verdict = run_trial(attempt_to_fetch(server.port, pki.ca))
    assert isinstance(verdict.event, CaFile)
    assert verdict.event.pem == pem


def test_another_ca_than_that_of_an_invite(pki: Pki) -> None:
    pem = pki.ca.cert_pem.bytes()
    with giving(pki, lambda peer: peer.say_bytes(pem)) as server:
        event = run_trial(attempt_to_fetch(server.port, trustme.CA())).event
    assert isinstance(event, Disconnected)
    assert isinstance(event.error, CertificateRejected)
    assert event.error.check == "invite"


def test_fetching_a_ca_is_broken_off(pki: Pki) -> None:
    """Nobody waits for what is at the other end."""
    ends: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
    with plain_server(b"", stays=True) as port:
        trial = Trial(
            attempt_to_fetch(port, pki.ca),
            on_connected=lambda event: None,
            on_end=lambda trial, verdict: ends.put(verdict),
        )
        trial.start()
        trial.cancel()
        assert ends.get(timeout=LONG_TIMEOUT_S) is None


def test_a_fetch_that_takes_too_long(pki: Pki) -> None:
    with plain_server(b"", stays=True) as port:
        event = run_trial(attempt_to_fetch(port, pki.ca), limit_s=0.2).event
    assert isinstance(event, Disconnected)
    assert "does not answer" in event.reason


def test_a_ca_that_is_in_no_file_yet(
    relay: RunningRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    pem = relay.certificates.ca.cert_pem.bytes()
    assert isinstance(run_trial(attempt_at(relay, ca=pem)).event, Welcome)
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    event = run_trial(attempt_at(relay, ca=pem)).event
    assert isinstance(event, Disconnected)
    assert "cannot be put into a file" in event.reason


def test_a_trial_waits_for_the_one_before(relay: RunningRelay) -> None:
    """Otherwise the first would still have the nick."""
    ends: queue.SimpleQueue[tuple[Trial, Verdict | None]] = queue.SimpleQueue()
    trials: list[Trial] = []
    for _turn in range(3):
        trials.append(
            Trial(
                attempt_at(relay, "nick", "ann"),
                on_connected=lambda event: None,
                on_end=lambda trial, verdict: ends.put((trial, verdict)),
                after=trials[-1] if trials else None,
            )
        )
    for trial in trials:
        trial.start()
    for trial in trials:
        ended, verdict = ends.get(timeout=LONG_TIMEOUT_S)
        assert ended is trial
        assert verdict is not None
        assert isinstance(verdict.event, Welcome)


def test_what_cannot_be_said_is_a_verdict_too(relay: RunningRelay) -> None:
    event = run_trial(attempt_at(relay, "nick", "ann\r\nQUIT")).event
    assert isinstance(event, Disconnected)
    assert isinstance(event.error, LocalProtocolError)


def test_no_password_is_shown(relay: RunningRelay) -> None:
    attempt = attempt_at(relay, "register", password=PASSWORD, email="secret-invitation")
    assert PASSWORD not in repr(attempt)
    assert "secret-invitation" not in repr(attempt)


def test_the_account_is_there_for_a_client(relay: RunningRelay) -> None:
    run_trial(attempt_at(relay, "register", "ann", password=PASSWORD))
    host, port = "localhost", relay.address[1]
    ca = relay.certificates.ca_file
    with Client(host, port, nick="ann", ca=ca, password=PASSWORD) as client:
        client.connect()
        assert client.account == "ann"
