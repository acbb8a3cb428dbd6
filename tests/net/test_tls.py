from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from securechat import pki
from securechat.errors import CertificateRejected, NetworkError, TlsError
from securechat.net.tls import (
    client_context,
    other_side,
    pinned_context,
    server_context,
    translate_tls_error,
    unverified_context,
)
from securechat.net.tls_pipe import TlsPipe
from tests.net.conftest import write_certificates
from tests.net.support import Certificates, move, shake_hands

LONG_AGO = {"not_before": datetime(2020, 1, 1, tzinfo=UTC)}


def shaken(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = "localhost"
) -> TlsPipe:
    """Return the server's end of a finished handshake."""
    ends = TlsPipe(client, server_hostname=host, server_side=False), TlsPipe(server)
    shake_hands(*ends)
    return ends[1]


def outcome(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = "localhost"
) -> tuple[TlsError | None, TlsError | None]:
    """Shake hands to the bitter end; return what went wrong at the client and at the server."""
    ends = TlsPipe(client, server_hostname=host, server_side=False), TlsPipe(server)
    errors: list[TlsError | None] = [None, None]
    ends[0].start()
    for turn in range(6):
        receiver = (turn + 1) % 2
        try:
            move(ends[turn % 2], ends[receiver])
        except TlsError as error:
            errors[receiver] = errors[receiver] or error
    return errors[0], errors[1]


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client of the standard library, for offers that ours does not make."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


def server_with(issued: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


class TestFiles:
    """Whatever is wrong with a file, the text names it."""

    @pytest.fixture
    def files(self, tmp_path: Path, ca: trustme.CA) -> Certificates:
        return write_certificates(tmp_path, ca, ca.issue_cert("localhost"))

    def contexts(self, files: Certificates) -> list[Callable[[], ssl.SSLContext]]:
        return [
            lambda: server_context(files.certificate, files.key),
            lambda: client_context(files.ca, certificate=files.certificate, key=files.key),
        ]

    @pytest.mark.parametrize("which", ["certificate", "key"])
    def test_missing(self, files: Certificates, which: str) -> None:
        path: Path = getattr(files, which)
        path.unlink()
        for make in self.contexts(files):
            with pytest.raises(TlsError, match=re.escape(f"{path}: cannot be read (No such file")):
                make()

    @pytest.mark.parametrize("which", ["certificate", "key"])
    def test_unreadable(self, files: Certificates, which: str) -> None:
        path: Path = getattr(files, which)
        path.unlink()
        path.mkdir()  # unreadable for root too
        for make in self.contexts(files):
            with pytest.raises(TlsError, match=re.escape(f"{path}: cannot be read (Is a")):
                make()

    @pytest.mark.parametrize("which", ["certificate", "key"])
    @pytest.mark.parametrize("content", [b"", b"not PEM", b"\x30\x82\x00\xff"])
    def test_not_pem(self, files: Certificates, which: str, content: bytes) -> None:
        path: Path = getattr(files, which)
        path.write_bytes(content)
        for make in self.contexts(files):
            with pytest.raises(TlsError, match=f"{re.escape(str(path))}.*in PEM"):
                make()

    def test_the_key_of_another_certificate(self, files: Certificates, ca: trustme.CA) -> None:
        ca.issue_cert("localhost").private_key_pem.write_to_path(files.key)
        expected = f"{files.key}: this key does not match the certificate {files.certificate}"
        for make in self.contexts(files):
            with pytest.raises(TlsError, match=re.escape(expected)):
                make()

    def test_an_encrypted_key(self, files: Certificates) -> None:
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        for make in self.contexts(files):
            with pytest.raises(TlsError, match=re.escape(f"{files.key}: the key is encrypted")):
                make()

    def test_a_certificate_file_may_hold_the_key(
        self, files: Certificates, server_tls: ssl.SSLContext
    ) -> None:
        files.certificate.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        client = client_context(files.ca, certificate=files.certificate)
        assert shaken(client, server_tls).version == "TLSv1.3"

    def test_ca_files(self, files: Certificates) -> None:
        makers = [
            client_context,
            lambda ca: server_context(files.certificate, files.key, client_ca=ca),
        ]
        for make in makers:
            files.ca.write_bytes(b"not PEM")
            expected = f"{files.ca}: not a certificate in PEM"
            with pytest.raises(TlsError, match=re.escape(expected)):
                make(files.ca)
            files.ca.unlink()
            with pytest.raises(TlsError, match=re.escape(f"{files.ca}: cannot be read (No such")):
                make(files.ca)
            with pytest.raises(TlsError, match=re.escape(f"{files.key}: not a certificate")):
                make(files.key)


class TestVersions:
    @pytest.fixture
    def old_client(self, ca: trustme.CA) -> ssl.SSLContext:
        context = trusting(ca)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def test_a_client_of_1_2_is_refused(
        self, old_client: ssl.SSLContext, server_tls: ssl.SSLContext
    ) -> None:
        at_client, at_server = outcome(old_client, server_tls)
        assert str(at_server) == "TLS failed: unsupported protocol"
        assert "protocol version" in str(at_client)  # it was sent an alert

    def test_a_client_of_1_2_is_served_where_configured(
        self, old_client: ssl.SSLContext, certificates: Certificates
    ) -> None:
        files = certificates
        context = server_context(files.certificate, files.key, minimum_version="1.2")
        assert shaken(old_client, context).version == "TLSv1.2"
        assert shaken(client_context(files.ca), context).version == "TLSv1.3"

    def test_our_client_speaks_1_2_and_nothing_older(
        self, certificates: Certificates, ca: trustme.CA
    ) -> None:
        server = server_with(ca.issue_cert("localhost"))
        server.maximum_version = ssl.TLSVersion.TLSv1_2
        client = client_context(certificates.ca)
        assert shaken(client, server).version == "TLSv1.2"
        assert client.minimum_version is ssl.TLSVersion.TLSv1_2

    @pytest.mark.parametrize("curve", ["X25519", "prime256v1", "secp384r1"])
    def test_groups(self, curve: str, ca: trustme.CA, server_tls: ssl.SSLContext) -> None:
        client = trusting(ca)
        client.set_ecdh_curve(curve)
        assert shaken(client, server_tls).version == "TLSv1.3"

    def test_no_other_groups_where_python_can_say_so(
        self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(
            ssl.SSLContext, "set_groups", lambda _, groups: told.append(groups), raising=False
        )
        client_context(certificates.ca)
        server_context(certificates.certificate, certificates.key)
        assert told == ["X25519:P-256:P-384"] * 2


class TestVerification:
    """There is no context of a client to talk through that does not verify."""

    def test_contexts_verify(self, certificates: Certificates) -> None:
        files = certificates
        for context in (
            client_context(files.ca),
            client_context(None),
            client_context(files.ca, certificate=files.certificate, key=files.key),
        ):
            assert context.verify_mode is ssl.CERT_REQUIRED
            assert context.check_hostname
            assert context.verify_flags & ssl.VERIFY_X509_STRICT

    def test_a_given_ca_is_the_only_one(self, certificates: Certificates) -> None:
        assert client_context(certificates.ca).cert_store_stats()["x509"] == 1

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
    def test_accepted(
        self, host: str, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
    ) -> None:
        assert shaken(client_tls, server_tls, host).cipher.startswith("TLS_")

    @pytest.mark.parametrize(
        ("check", "names", "host", "dates", "own_ca", "alert"),
        [
            (
                "expired",
                ["localhost"],
                "localhost",
                {**LONG_AGO, "not_after": datetime(2021, 1, 1, tzinfo=UTC)},
                True,
                "certificate expired",
            ),
            (
                "not-yet-valid",
                ["localhost"],
                "localhost",
                {
                    "not_before": datetime(2190, 1, 1, tzinfo=UTC),
                    "not_after": datetime(2191, 1, 1, tzinfo=UTC),
                },
                True,
                "bad certificate",
            ),
            ("hostname", ["chat.example.org"], "localhost", {}, True, "bad certificate"),
            ("hostname", ["127.0.0.1"], "127.0.0.2", {}, True, "bad certificate"),
            ("untrusted", ["localhost"], "localhost", {}, False, "unknown ca"),
        ],
    )
    def test_rejected(
        self,
        check: str,
        names: list[str],
        host: str,
        dates: dict[str, datetime],
        own_ca: bool,
        alert: str,
        ca: trustme.CA,
        client_tls: ssl.SSLContext,
    ) -> None:
        issuer = ca if own_ca else trustme.CA()
        server = server_with(issuer.issue_cert(*names, **dates))
        at_client, at_server = outcome(client_tls, server, host)
        assert isinstance(at_client, CertificateRejected)
        assert at_client.check == check
        assert at_client.advice
        assert str(at_client).startswith("the certificate of the server ")
        assert alert in str(at_server)

    def test_a_self_signed_certificate_is_untrusted(
        self, client_tls: ssl.SSLContext, tmp_path: Path
    ) -> None:
        alone = trustme.CA()
        alone.cert_pem.write_to_path(tmp_path / "alone.crt")
        alone.private_key_pem.write_to_path(tmp_path / "alone.key")
        server = server_context(tmp_path / "alone.crt", tmp_path / "alone.key")
        at_client, _ = outcome(client_tls, server)
        assert isinstance(at_client, CertificateRejected)
        assert at_client.check == "untrusted"

    def test_a_common_name_is_no_host_name(
        self, ca: trustme.CA, client_tls: ssl.SSLContext
    ) -> None:
        """RFC 9525 section 6.3: the common name "MUST NOT be used" to identify a service."""
        server = server_with(ca.issue_cert(common_name="localhost"))
        at_client, _ = outcome(client_tls, server)
        assert isinstance(at_client, CertificateRejected)

    def test_a_failure_of_no_known_kind(self) -> None:
        error = ssl.SSLCertVerificationError(1, "odd")
        error.verify_code = 26
        error.verify_message = "unsuitable certificate purpose"
        translated = translate_tls_error(error)
        assert isinstance(translated, CertificateRejected)
        assert translated.check == "invalid"
        assert "(unsuitable certificate purpose)" in str(translated)

    def test_other_errors(self) -> None:
        unnamed = ssl.SSLError(1, "[SSL] an odd_one (_ssl.c:1006)")
        unnamed.reason = None  # what this Python has no name for
        named = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
        named.reason = "WRONG_VERSION_NUMBER"
        for error, text in ((unnamed, "an odd_one"), (named, "wrong version number")):
            failed = translate_tls_error(error)
            assert isinstance(failed, TlsError)
            assert str(failed) == f"TLS failed: {text}"
        lost = translate_tls_error(ConnectionResetError(104, "Connection reset by peer"))
        assert type(lost) is NetworkError
        assert str(lost) == "Connection reset by peer"


class TestClientCertificates:
    @pytest.fixture
    def server(self, certificates: Certificates) -> ssl.SSLContext:
        files = certificates
        return server_context(files.certificate, files.key, client_ca=files.ca)

    def client_of(
        self, ca: trustme.CA, folder: Path, certificates: Certificates
    ) -> tuple[ssl.SSLContext, bytes]:
        issued = ca.issue_cert("ann")
        files = write_certificates(folder, ca, issued)
        context = client_context(certificates.ca, certificate=files.certificate, key=files.key)
        return context, ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    def test_none_is_welcome(self, server: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
        assert shaken(client_tls, server).peer_certificate is None

    def test_one_of_the_ca_is_seen(
        self, server: ssl.SSLContext, ca: trustme.CA, certificates: Certificates, tmp_path: Path
    ) -> None:
        client, certificate = self.client_of(ca, tmp_path, certificates)
        assert shaken(client, server).peer_certificate == certificate

    def test_one_of_another_ca_is_refused(
        self, server: ssl.SSLContext, certificates: Certificates, tmp_path: Path
    ) -> None:
        client, _ = self.client_of(trustme.CA(), tmp_path, certificates)
        at_client, at_server = outcome(client, server)
        assert isinstance(at_server, CertificateRejected)
        assert at_server.check == "untrusted"
        assert str(at_server).startswith("the certificate of the client was refused (")
        assert "server" not in at_server.advice
        assert "unknown ca" in str(at_client)

    def test_none_is_asked_for_otherwise(
        self, server_tls: ssl.SSLContext, certificates: Certificates, tmp_path: Path
    ) -> None:
        client, _ = self.client_of(trustme.CA(), tmp_path, certificates)
        assert shaken(client, server_tls).peer_certificate is None


class PeerDevice:
    """A device's files, its certificate in DER, and its end of a session with another."""

    def __init__(self, folder: Path, pair: pki.Pair | None = None) -> None:
        self.pair = pair or pki.make_device()
        self.files = pki.device_files(folder)
        self.der = self.pair.certificate.public_bytes(serialization.Encoding.DER)
        pki.save_pair(self.pair, self.files)

    def context(self, peer_certificate: bytes, *, server_side: bool) -> ssl.SSLContext:
        return pinned_context(
            self.files.certificate,
            self.files.key,
            peer_certificate,
            server_side=server_side,
            protocols=["peer"],
        )

    def as_client(self, peer: PeerDevice) -> ssl.SSLContext:
        return self.context(peer.der, server_side=False)

    def as_server(self, peer: PeerDevice) -> ssl.SSLContext:
        return self.context(peer.der, server_side=True)


def look_alike(device: PeerDevice, signing_key: ec.EllipticCurvePrivateKey | None) -> pki.Pair:
    """All that ``device`` says of itself, but with another key; signed by that, if no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    original = device.pair.certificate
    builder = x509.CertificateBuilder(
        original.issuer,
        original.subject,
        key.public_key(),
        original.serial_number,
        original.not_valid_before_utc,
        original.not_valid_after_utc,
        list(original.extensions),
    )
    return pki.Pair(builder.sign(signing_key or key, hashes.SHA256()), key)


class TestPinned:
    """Two peers accept each other's one certificate, and nothing else."""

    @pytest.fixture
    def ann(self, tmp_path: Path) -> PeerDevice:
        return PeerDevice(tmp_path / "ann")

    @pytest.fixture
    def bob(self, tmp_path: Path) -> PeerDevice:
        return PeerDevice(tmp_path / "bob")

    def test_each_side_sees_the_other(self, ann: PeerDevice, bob: PeerDevice) -> None:
        for client, server in ((ann, bob), (bob, ann)):
            ends = (
                TlsPipe(client.as_client(server), server_side=False),
                TlsPipe(server.as_server(client)),
            )
            shake_hands(*ends)
            assert [end.peer_certificate for end in ends] == [server.der, client.der]
            assert [end.protocol for end in ends] == ["peer", "peer"]
            assert ends[0].version == "TLSv1.3"
            ends[1].send(b"hello")
            assert move(ends[1], ends[0]) == b"hello"

    def test_the_server_sends_no_ticket(self, ann: PeerDevice, bob: PeerDevice) -> None:
        client = TlsPipe(ann.as_client(bob), server_side=False)
        server = TlsPipe(bob.as_server(ann))
        client.start()
        for sender, receiver in ((client, server), (server, client), (client, server)):
            move(sender, receiver)
        assert server.handshake_done
        assert not server.take()

    def test_the_name_of_no_host_is_sent(self, ann: PeerDevice, bob: PeerDevice) -> None:
        names: list[str | None] = []
        server = bob.as_server(ann)
        server.sni_callback = lambda _, name, __: names.append(name)
        shaken(ann.as_client(bob), server, None)
        assert names == [None]

    @pytest.mark.parametrize("kind", ["another device", "same words", "issued by the pinned"])
    def test_another_certificate_is_refused(
        self, ann: PeerDevice, bob: PeerDevice, tmp_path: Path, kind: str
    ) -> None:
        """They all have the same subject; even what the pinned key has signed is not the pinned."""
        pair = {
            "another device": pki.make_device,
            "same words": lambda: look_alike(bob, None),
            "issued by the pinned": lambda: look_alike(bob, bob.pair.key),
        }[kind]()
        eve = PeerDevice(tmp_path / "eve", pair)
        assert eve.pair.certificate.subject == bob.pair.certificate.subject

        as_server = outcome(ann.as_client(bob), eve.as_server(ann), None)
        as_client = outcome(eve.as_client(ann), ann.as_server(bob), None)
        for refused, told in (as_server, as_client[::-1]):
            assert isinstance(refused, CertificateRejected)
            assert str(refused).startswith("the certificate of the peer is not the one expected (")
            assert "safety codes" in refused.advice
            assert "alert" in str(told)

    def test_the_pinned_behind_another_is_refused(
        self, ann: PeerDevice, bob: PeerDevice, tmp_path: Path
    ) -> None:
        fake = look_alike(bob, bob.pair.key)
        chained = pki.Pair(fake.certificate, fake.key, (bob.pair.certificate,))
        eve = PeerDevice(tmp_path / "eve", chained)
        at_client, _ = outcome(ann.as_client(bob), eve.as_server(ann), None)
        _, at_server = outcome(eve.as_client(ann), ann.as_server(bob), None)
        assert isinstance(at_client, CertificateRejected)
        assert isinstance(at_server, CertificateRejected)

    def test_a_certificate_of_some_ca_is_refused(
        self, ann: PeerDevice, bob: PeerDevice, server_tls: ssl.SSLContext
    ) -> None:
        at_client, _ = outcome(ann.as_client(bob), server_tls, None)
        assert isinstance(at_client, CertificateRejected)
        assert at_client.check == "untrusted"

    def test_a_client_without_a_certificate_is_refused(
        self, ann: PeerDevice, bob: PeerDevice
    ) -> None:
        client = client_context(bob.files.certificate)
        client.check_hostname = False
        at_client, at_server = outcome(client, bob.as_server(ann), None)
        assert str(at_server) == "TLS failed: peer did not return a certificate"
        assert "certificate required" in str(at_client)

    @pytest.mark.parametrize("old", ["client", "server"])
    def test_another_version_is_refused(self, ann: PeerDevice, bob: PeerDevice, old: str) -> None:
        contexts = ann.as_client(bob), bob.as_server(ann)
        assert {context.maximum_version for context in contexts} == {ssl.TLSVersion.TLSv1_3}
        changed = contexts[old == "server"]
        changed.minimum_version = ssl.TLSVersion.TLSv1_2
        changed.maximum_version = ssl.TLSVersion.TLSv1_2
        at_client, at_server = outcome(*contexts, None)
        assert str(at_server) == "TLS failed: unsupported protocol"
        assert "protocol version" in str(at_client)

    @pytest.mark.parametrize("server_side", [False, True])
    def test_what_cannot_be_pinned(
        self, ann: PeerDevice, bob: PeerDevice, ca: trustme.CA, server_side: bool
    ) -> None:
        ca_der = ssl.PEM_cert_to_DER_cert(ca.cert_pem.bytes().decode())
        for certificate, problem in (
            (b"", "not one in DER"),
            (b"no certificate", "not one in DER"),
            (bob.der[:-1], "not one in DER"),
            (bob.der + PeerDevice(ann.files.key.parent / "third").der, "more than one"),
            (ca_der, "that of a CA"),
        ):
            with pytest.raises(TlsError, match=problem):
                ann.context(certificate, server_side=server_side)

    def test_our_own_files_are_checked(self, ann: PeerDevice, bob: PeerDevice) -> None:
        ann.files.key.write_bytes(bob.files.key.read_bytes())
        with pytest.raises(TlsError, match="does not match the certificate"):
            ann.as_client(bob)

    def test_a_device_can_be_expected_of_itself(self, ann: PeerDevice) -> None:
        """Two clients of one person may share a device."""
        assert shaken(ann.as_client(ann), ann.as_server(ann), None).version == "TLSv1.3"

    def test_groups_where_python_can_say_so(
        self, ann: PeerDevice, bob: PeerDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(
            ssl.SSLContext, "set_groups", lambda _, groups: told.append(groups), raising=False
        )
        ann.as_client(bob)
        bob.as_server(ann)
        assert told == ["X25519:P-256:P-384"] * 2


class TestUnverified:
    """What fetches a certificate that is known by its hash."""

    def test_any_certificate_will_do(self) -> None:
        expired = LONG_AGO | {"not_after": datetime(2021, 1, 1, tzinfo=UTC)}
        server = server_with(trustme.CA().issue_cert("elsewhere.example.org", **expired))
        server.set_alpn_protocols(["other", "wanted"])
        assert outcome(unverified_context(["wanted"]), server) == (None, None)
        assert shaken(unverified_context(["wanted", "other"]), server).protocol == "other"

    def test_but_not_any_tls(self) -> None:
        context = unverified_context(["wanted"])
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert other_side(context, server_side=False) == "server"
        assert context.cert_store_stats()["x509"] == 0


def test_whose_certificate_an_end_verifies(certificates: Certificates, tmp_path: Path) -> None:
    files, ann = certificates, PeerDevice(tmp_path)
    for context, side in (
        (client_context(files.ca), "server"),
        (client_context(None), "server"),
        (ann.context(ann.der, server_side=False), "peer"),
    ):
        assert other_side(context, server_side=False) == side
    for context, side in (
        (server_context(files.certificate, files.key), "client"),
        (server_context(files.certificate, files.key, client_ca=files.ca), "client"),
        (ann.context(ann.der, server_side=True), "peer"),
    ):
        assert other_side(context, server_side=True) == side
