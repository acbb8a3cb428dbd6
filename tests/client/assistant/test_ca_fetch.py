"""The CA that an invite link names, from relays and from others."""

from __future__ import annotations

import hashlib
import queue
import threading

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.client.assistant.ca_fetch import CaFetch
from securechat.client.assistant.ca_file import CaFile
from securechat.client.assistant.failures import explain_failure
from securechat.errors import CertificateRejected, ConnectionLost, NetworkError
from securechat.invite_link import CA_BYTES
from tests.client.invites import ca_hash, giving
from tests.client.scripted_server import Peer, Pki
from tests.client.trials import closed_port, plain_server
from tests.server.relay_harness import LONG_TIMEOUT_S, RunningRelay

HOST = "127.0.0.1"


def fetch_ca(host: str, port: int, sha256: bytes, **more: float) -> CaFile:
    return CaFetch(host, port, sha256, **more).run()


def test_a_relay_gives_its_ca(relay: RunningRelay) -> None:
    ca = relay.certificates.ca
    found = fetch_ca("localhost", relay.address[1], ca_hash(ca))
    assert found.path is None
    assert found.pem == ca.cert_pem.bytes()
    [authority] = found.authorities
    assert authority.fingerprint.replace(":", "").lower() == ca_hash(ca).hex()


def test_only_the_certificate_is_kept(pki: Pki) -> None:
    pem = pki.ca.cert_pem.bytes()

    def script(peer: Peer) -> None:
        for byte in b"Hello\n" + pem + b"\x1b]0;evil\x07":  # as slowly as can be
            peer.say_bytes(bytes([byte]))

    with giving(pki, script) as server:
        assert fetch_ca(HOST, server.port, ca_hash(pki.ca)).pem == pem


def leaf_of(ca: trustme.CA) -> bytes:
    return ca.issue_cert("localhost").cert_chain_pems[0].bytes()


WRONG = {
    "another CA": lambda ca: trustme.CA().cert_pem.bytes(),
    "two": lambda ca: ca.cert_pem.bytes() + trustme.CA().cert_pem.bytes(),
    "twice": lambda ca: ca.cert_pem.bytes() * 2,
    "no PEM": lambda ca: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "broken": lambda ca: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "half": lambda ca: ca.cert_pem.bytes()[:300],
    "DER": lambda ca: x509.load_pem_x509_certificate(ca.cert_pem.bytes()).public_bytes(
        Encoding.DER
    ),
    "without an end": lambda ca: b"x" * (CA_BYTES + 1),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_the_ca_of_the_link(what: str, pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.say_bytes(WRONG[what](pki.ca))
        if what == "without an end":
            peer.until_gone()

    with giving(pki, script) as server, pytest.raises(CertificateRejected) as caught:
        fetch_ca(HOST, server.port, ca_hash(pki.ca))
    assert caught.value.check == "invite"
    assert f"the CA of {HOST}:{server.port} is not the one" in str(caught.value)
    found = explain_failure(caught.value)
    assert found.title == "This is not the server of your invite"
    assert "stands between you and the server" in found.meaning
    assert "for a new one" in found.advice


def test_a_certificate_that_is_of_no_ca(pki: Pki) -> None:
    """Not even if the link names it: everything that it signs would be believed."""
    pem = leaf_of(pki.ca)
    certificate = x509.load_pem_x509_certificate(pem)
    sha256 = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    with (
        giving(pki, lambda peer: peer.say_bytes(pem)) as server,
        pytest.raises(CertificateRejected),
    ):
        fetch_ca(HOST, server.port, sha256)


@pytest.mark.parametrize(("alpn", "answer"), [("irc", b":irc.test NOTICE * :Hi\r\n"), (None, b"")])
def test_a_server_that_gives_none(alpn: str | None, answer: bytes, pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.say_bytes(answer)
        if alpn is not None:
            peer.until_gone()

    more = {"alpn": alpn} if alpn is not None else {}
    with giving(pki, script, **more) as server, pytest.raises(NetworkError) as caught:
        fetch_ca(HOST, server.port, ca_hash(pki.ca))
    assert not isinstance(caught.value, CertificateRejected)
    assert explain_failure(caught.value).title == "The server does not give its CA"


NO_APPLICATION_PROTOCOL = bytes((21, 3, 3, 0, 2, 2, 120))
"""RFC 7301, section 3.2: what a server says that has none of the protocols offered."""


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (NO_APPLICATION_PROTOCOL, "The server does not give its CA"),
        (b":irc.test NOTICE * :Hello\r\n", "The server does not speak TLS"),
        (b"", "The connection was broken off at its beginning"),
    ],
)
def test_a_server_that_is_none(answer: bytes, title: str) -> None:
    with plain_server(answer) as port, pytest.raises(NetworkError) as caught:
        fetch_ca(HOST, port, bytes(32))
    assert explain_failure(caught.value).title == title


def test_nobody_is_there() -> None:
    with pytest.raises(NetworkError) as caught:
        fetch_ca(HOST, closed_port(), bytes(32))
    assert explain_failure(caught.value).title == "Nothing listens there"


def test_a_server_that_says_nothing() -> None:
    with plain_server(b"", stays=True) as port, pytest.raises(ConnectionLost) as caught:
        fetch_ca(HOST, port, bytes(32), limit_s=0.2)
    assert explain_failure(caught.value).title == "There is no answer"


def test_a_server_that_stops_in_the_middle(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.say_bytes(pki.ca.cert_pem.bytes()[:100])
        peer.until_gone()

    with giving(pki, script) as server, pytest.raises(ConnectionLost, match="does not answer"):
        fetch_ca(HOST, server.port, ca_hash(pki.ca), limit_s=0.3)


@pytest.mark.parametrize("late", [False, True])
def test_it_is_broken_off(late: bool) -> None:
    ends: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    reached = threading.Event()

    def run() -> None:
        try:
            fetch.run()
        except NetworkError as error:
            ends.put(error)

    with plain_server(b"", stays=True, reached=reached) as port:
        fetch = CaFetch(HOST, port, bytes(32))
        if not late:
            fetch.cancel()
        thread = threading.Thread(target=run)
        thread.start()
        if late:
            assert reached.wait(LONG_TIMEOUT_S)
            fetch.cancel()
        assert isinstance(ends.get(timeout=LONG_TIMEOUT_S), NetworkError)
        thread.join(LONG_TIMEOUT_S)
    fetch.cancel()  # which does nothing any more
