"""The CA for whoever comes with an invite link: which it is, and how it is given."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from securechat import pki
from securechat.invite_link import CA_ALPN
from securechat.server.authority import find_authority
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Certificates, Closed

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def provide(folder: Path) -> pki.Provision:
    return pki.provision(folder, pki.Request(hosts=("localhost",)), now=NOW)


def test_it_is_the_end_of_a_chain_that_signed_itself(tmp_path: Path) -> None:
    made = provide(tmp_path)
    (tmp_path / "ca.pem").unlink()
    found = find_authority(tmp_path / "server.pem")
    assert found is not None
    assert pki.fingerprint(found.decode()) == pki.fingerprint(made.ca)


def test_it_is_beside_a_chain_that_does_not_hold_it(tmp_path: Path) -> None:
    provide(tmp_path)
    chain = (tmp_path / "server.pem").read_text()
    end = "-----END CERTIFICATE-----\n"
    (tmp_path / "server.pem").write_text(chain.partition(end)[0] + end)
    assert find_authority(tmp_path / "server.pem") == (tmp_path / "ca.pem").read_bytes()


def test_the_ca_of_another_certificate_is_none_of_ours(tmp_path: Path) -> None:
    """As for a certificate of a CA that systems know: it has to be given to nobody."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert find_authority(tmp_path / "server.pem") is None


@pytest.mark.parametrize("content", [None, b"", b"buy milk"])
def test_a_file_without_a_certificate_has_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "server.pem").write_bytes(content)
    assert find_authority(tmp_path / "server.pem") is None


def test_the_relay_gives_it_and_closes(start_relay: StartRelay, tmp_path: Path) -> None:
    made = provide(tmp_path)
    tls = {"certificate": tmp_path / "server.pem", "key": tmp_path / "server-key.pem"}
    relay = start_relay(tls=tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # as somebody who does not know the CA yet
    context.set_alpn_protocols([CA_ALPN])
    given = b""
    with context.wrap_socket(relay.connect_tcp()) as sock:
        assert sock.selected_alpn_protocol() == CA_ALPN
        while data := sock.recv(65_536):
            given += data
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(given.decode())).hexdigest()
    assert digest == pki.fingerprint(made.ca).replace(":", "").lower()
    assert relay.relay.services.registry.snapshot() == []


def test_a_relay_without_one_of_its_own_gives_nothing(
    start_relay: StartRelay, relay_certificates: Certificates, tmp_path: Path
) -> None:
    lonely = tmp_path / "server.pem"  # no CA in it, none beside it
    lonely.write_bytes(relay_certificates.server_file.read_bytes())
    client = start_relay(tls={"certificate": lonely, "key": lonely}).connect(alpn=[CA_ALPN])
    with pytest.raises(Closed):
        client.receive()


def test_what_is_said_to_it_is_nothing(start_relay: StartRelay) -> None:
    client = start_relay().connect(alpn=[CA_ALPN])
    client.send("NICK alice", "USER alice 0 * :Alice")
    given = b""
    with contextlib.suppress(Closed):
        while True:
            given += client.receive()
    assert given.endswith(b"-----END CERTIFICATE-----\n"), "the CA, and nothing else"
