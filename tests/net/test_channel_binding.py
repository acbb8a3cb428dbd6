"""tls-server-end-point."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from securechat.net.channel_binding import certificate_in, server_end_point


def make(key: object, algorithm: hashes.HashAlgorithm | None) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    day = datetime.datetime(2023, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[attr-defined]
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=1))
        .sign(key, algorithm)  # type: ignore[arg-type]
    )


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_the_hash_of_the_signature(algorithm: hashes.HashAlgorithm) -> None:
    """ "if the certificate's signatureAlgorithm uses a single hash function and that hash function
    neither MD5 nor SHA-1, then use the hash function associated with the certificate's
    signatureAlgorithm" """
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        certificate = make(key, algorithm)
        assert server_end_point(der(certificate)) == certificate.fingerprint(algorithm)


def test_sha1_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "if (…) that hash function is either MD5 [RFC1321] or SHA-1 [RFC3174], then use SHA-256".

    Not every build of OpenSSL still makes such a certificate, so one that is read as such.
    """

    class Old:
        def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
            self.signature_hash_algorithm = algorithm

        def fingerprint(self, algorithm: hashes.HashAlgorithm) -> bytes:
            return algorithm.name.encode()

    for old in (hashes.SHA1(), hashes.MD5()):
        monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _, old=old: Old(old))
        assert server_end_point(b"") == b"sha256"


def test_ed25519_has_none() -> None:
    """ "if the certificate's signatureAlgorithm uses no hash functions (…) then this channel
    binding type's channel bindings are undefined" """
    assert server_end_point(der(make(ed25519.Ed25519PrivateKey.generate(), None))) is None


def test_what_is_no_certificate_has_none() -> None:
    assert server_end_point(b"nothing") is None


def test_the_first_certificate_of_a_file(tmp_path: Path) -> None:
    issued = trustme.CA().create_child_ca().issue_cert("localhost")
    path = tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    first = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    assert certificate_in(path) == der(first)
    path.write_text("nothing")
    assert certificate_in(path) is None
    assert certificate_in(tmp_path / "missing.pem") is None
