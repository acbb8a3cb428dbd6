"""The private CA: what it issues is accepted by strict verifiers, and what it writes is safe."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securechat import pki
from securechat.errors import PkiError
from securechat.irc.names import is_nick
from securechat.server.config import LimitsConfig

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = ("localhost", "127.0.0.1", "::1", "chat.example.org")


@pytest.fixture(scope="module")
def ca() -> pki.Pair:
    return pki.make_ca(now=NOW)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that takes nothing away, so that only the modes asked for protect a file."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def certificate_with(*extensions: x509.ExtensionType) -> pki.Pair:
    """A self-signed certificate with nothing but ``extensions``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return pki.Pair(builder.sign(key, hashes.SHA256()), key)


class TestCertificates:
    def test_ca_extensions(self, ca: pki.Pair) -> None:
        extensions = ca.certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        assert basic.critical
        assert basic.value == x509.BasicConstraints(ca=True, path_length=0)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert not usage.value.digital_signature
        with pytest.raises(x509.ExtensionNotFound):
            extensions.get_extension_for_class(x509.ExtendedKeyUsage)

    def test_ca_lives_ten_years_and_starts_before_now(self, ca: pki.Pair) -> None:
        assert ca.certificate.not_valid_before_utc < NOW
        assert pki.days_left(ca.certificate, now=NOW) == pki.CA_DAYS

    def test_server_extensions(self, ca: pki.Pair) -> None:
        certificate = pki.issue_server(ca, HOSTS, now=NOW).certificate
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        above = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert basic.critical
        assert not basic.value.ca
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        assert list(purposes.value) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert authority.value.key_identifier == above.value.digest
        assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert pki.hosts_of(certificate) == HOSTS

    def test_client_is_named_after_the_account(self, ca: pki.Pair) -> None:
        certificate = pki.issue_client(ca, "alice", now=NOW).certificate
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert name.value == "alice"
        assert list(purposes.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        assert pki.days_left(certificate, now=NOW) == pki.CLIENT_DAYS

    def test_keys_are_p256_and_serials_differ(self, ca: pki.Pair) -> None:
        pairs = [pki.issue_server(ca, HOSTS, now=NOW) for _ in range(3)]
        assert all(isinstance(pair.key.curve, ec.SECP256R1) for pair in (ca, *pairs))
        assert len({pair.certificate.serial_number for pair in (ca, *pairs)}) == 4
        assert len({pair.key_pem for pair in (ca, *pairs)}) == 4

    def test_days_are_as_asked_or_until_the_ca_ends(self, ca: pki.Pair) -> None:
        server = pki.issue_server(ca, HOSTS, now=NOW).certificate
        short = pki.issue_server(ca, HOSTS, now=NOW, days=1).certificate
        late = pki.issue_server(ca, HOSTS, now=NOW + timedelta(days=pki.CA_DAYS - 5)).certificate
        assert pki.days_left(server, now=NOW) == pki.SERVER_DAYS == 80
        assert pki.days_left(short, now=NOW) == 1
        assert late.not_valid_after_utc == ca.certificate.not_valid_after_utc

    def test_days_left_goes_below_zero(self, ca: pki.Pair) -> None:
        certificate = pki.issue_server(ca, HOSTS, now=NOW, days=1).certificate
        assert pki.days_left(certificate, now=NOW + timedelta(days=1)) == 0
        assert pki.days_left(certificate, now=NOW + timedelta(days=1, seconds=1)) == -1

    def test_a_certificate_never_starts_before_its_ca(self, ca: pki.Pair) -> None:
        certificate = pki.issue_server(ca, HOSTS, now=NOW - timedelta(minutes=30)).certificate
        assert certificate.not_valid_before_utc == ca.certificate.not_valid_before_utc

    def test_renewal_keeps_the_hosts_and_nothing_else(self, ca: pki.Pair) -> None:
        old = pki.issue_server(ca, HOSTS, now=NOW)
        new = pki.renew_server(ca, old.certificate, now=NOW)
        assert pki.hosts_of(new.certificate) == HOSTS
        assert new.certificate.serial_number != old.certificate.serial_number
        assert new.key_pem != old.key_pem

    def test_a_host_given_twice_is_named_once(self, ca: pki.Pair) -> None:
        pair = pki.issue_server(ca, ["Chat.Example.org", "chat.example.org."], now=NOW)
        assert pki.hosts_of(pair.certificate) == ("chat.example.org",)

    def test_the_key_is_in_no_repr(self, ca: pki.Pair) -> None:
        assert "key" not in repr(ca).lower()

    @pytest.mark.parametrize("days", [0, -1, pki.CA_DAYS + 1])
    def test_senseless_days(self, ca: pki.Pair, days: int) -> None:
        with pytest.raises(PkiError, match="1 to 3650 days"):
            pki.issue_server(ca, HOSTS, now=NOW, days=days)

    def test_no_hosts(self, ca: pki.Pair) -> None:
        with pytest.raises(PkiError, match="at least one host"):
            pki.issue_server(ca, [], now=NOW)

    def test_an_expired_ca_issues_nothing(self, ca: pki.Pair) -> None:
        with pytest.raises(PkiError, match="the CA expired on"):
            pki.issue_server(ca, HOSTS, now=NOW + timedelta(days=pki.CA_DAYS + 1))

    def test_a_clock_before_the_ca_is_noticed(self, ca: pki.Pair) -> None:
        with pytest.raises(PkiError, match="clock"):
            pki.issue_client(ca, "alice", now=NOW - timedelta(days=1))

    def test_a_certificate_that_is_no_ca_issues_nothing(self, ca: pki.Pair) -> None:
        with pytest.raises(PkiError, match="not made to be one"):
            pki.issue_server(pki.issue_server(ca, HOSTS, now=NOW), HOSTS, now=NOW)
        with pytest.raises(PkiError, match="not made to be one"):
            pki.issue_server(certificate_with(), HOSTS, now=NOW)


class TestDevices:
    """A device vouches for itself, and its certificate is never too old."""

    def test_extensions(self) -> None:
        certificate = pki.make_device().certificate
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert basic.critical
        assert not basic.value.ca
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        assert set(purposes.value) == {
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        }

    def test_it_is_signed_by_itself(self) -> None:
        pair = pki.make_device()
        assert pair.issuers == ()
        assert pair.certificate.public_key() == pair.key.public_key()
        pair.certificate.verify_directly_issued_by(pair.certificate)

    def test_it_says_nothing_about_who_or_when(self) -> None:
        first, second = (pki.make_device().certificate for _ in range(2))
        assert first.subject == second.subject == first.issuer
        assert first.serial_number != second.serial_number
        for certificate in (first, second):
            assert certificate.not_valid_before_utc == datetime(2000, 1, 1, tzinfo=UTC)
            assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    def test_it_fits_a_line_with_ease(self) -> None:
        der = pki.make_device().certificate.public_bytes(serialization.Encoding.DER)
        assert len(der) < 500

    def test_keys_are_p256_and_new_unless_given(self) -> None:
        first, second = pki.make_device(), pki.make_device()
        assert isinstance(first.key.curve, ec.SECP256R1)
        assert first.key_pem != second.key_pem
        again = pki.make_device(key=first.key)
        assert again.key_pem == first.key_pem
        assert again.certificate != first.certificate

    def test_a_device_issues_nothing(self) -> None:
        with pytest.raises(PkiError, match="not made to be one"):
            pki.issue_client(pki.make_device(), "alice", now=NOW)

    def test_a_key_that_a_crash_left_is_found(self, tmp_path: Path) -> None:
        files = pki.device_files(tmp_path)
        assert pki.left_key(files) is None
        pair = pki.make_device()
        pki.save_pair(pair, files)
        files.certificate.unlink()
        left = pki.left_key(files)
        assert left is not None
        again = pki.make_device(key=left)
        pki.save_pair(again, files)
        assert pki.load_pair(files).certificate == again.certificate


class TestNames:
    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ("localhost", "localhost"),
            ("Chat.Example.ORG", "chat.example.org"),
            ("chat.example.org.", "chat.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER。example", "xn--bcher-kva.example"),
            ("xn--strae-oqa.example", "xn--strae-oqa.example"),
            ("4chan.example", "4chan.example"),
            ("a" * 63 + ".example", "a" * 63 + ".example"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("[::1]", "::1"),
        ],
    )
    def test_host(self, given: str, named: str) -> None:
        host = pki.parse_host(given)
        assert str(host.value) == named
        assert isinstance(host, x509.IPAddress) == (":" in named or named.startswith("192."))

    @pytest.mark.parametrize(
        "host",
        [
            "",
            ".",
            " ",
            "a b",
            "a..b",
            ".example",
            "-a.example",
            "a-.example",
            "a_b.example",
            "*.example",
            "chat.example:6697",
            "https://chat.example/",
            "10.0.0.256",
            "1234",
            "a" * 64 + ".example",
            ".".join(["a" * 63] * 4),
            "a\x00.example",
            "fe80::1%eth0",
            "straße.example",
            "a\u200db.example",
        ],
    )
    def test_not_a_host(self, host: str) -> None:
        with pytest.raises(PkiError) as caught:
            pki.parse_host(host)
        assert repr(host) in str(caught.value)

    def test_a_deviating_character_says_what_to_do(self) -> None:
        with pytest.raises(PkiError, match="xn--"):
            pki.parse_host("straße.example")

    @pytest.mark.parametrize("name", ["alice", "Alice-2", "_x-", "a" * 30])
    def test_client_name(self, ca: pki.Pair, name: str) -> None:
        assert pki.issue_client(ca, name, now=NOW).certificate
        assert pki.client_files(Path("x"), name).certificate == Path(f"x/client-{name}.pem")

    @pytest.mark.parametrize("name", ["alice", "Alice-2", "_x-", "a" * 30])
    def test_the_relay_accepts_each_client_name(self, name: str) -> None:
        assert is_nick(name, LimitsConfig().nick_length)

    @pytest.mark.parametrize(
        "name",
        [
            *("", "a" * 31, "a/b", "../server", "a\\b", "a b", ".", "a.b", "a\x00", "a\n", "*"),
            *("007", "-a", "zoë", "a٣", "[away]", "a|b", "a^", "a`", "a{}"),
        ],
    )
    def test_not_a_client_name(self, ca: pki.Pair, name: str) -> None:
        with pytest.raises(PkiError, match="client's name"):
            pki.issue_client(ca, name, now=NOW)
        with pytest.raises(PkiError, match="client's name"):
            pki.client_files(Path("x"), name)

    def test_a_certificate_without_alternative_names_has_no_hosts(self) -> None:
        assert pki.hosts_of(certificate_with().certificate) == ()

    @pytest.mark.parametrize(
        ("host", "covered"),
        [
            ("chat.example.org", True),
            ("CHAT.example.ORG", True),
            ("a.example.net", True),
            ("example.net", False),
            ("a.b.example.net", False),
            ("192.0.2.7", True),
            ("192.0.2.8", False),
            ("localhost", False),
        ],
    )
    def test_whom_the_names_of_a_certificate_are_for(self, host: str, covered: bool) -> None:
        names = ("Chat.example.org", "*.example.net", "192.0.2.7")
        assert pki.is_for(names, host) is covered


class TestFingerprint:
    def test_all_forms_agree_with_the_der_hash(self, ca: pki.Pair) -> None:
        der = ca.certificate.public_bytes(serialization.Encoding.DER)
        expected = ":".join(f"{byte:02X}" for byte in ca.certificate.fingerprint(hashes.SHA256()))
        assert len(expected) == 95
        assert pki.fingerprint(der) == expected
        assert pki.fingerprint(ca.certificate) == expected
        assert pki.fingerprint(ca.certificate_pem) == expected
        assert pki.fingerprint(ca.certificate_pem.decode()) == expected

    def test_of_a_chain_the_first_counts(self, ca: pki.Pair) -> None:
        server = pki.issue_server(ca, HOSTS, now=NOW)
        assert pki.fingerprint(server.certificate_pem) == pki.fingerprint(server.certificate)

    @pytest.mark.parametrize(
        "text", ["", "hello", b"\x30\x03\x02\x01\x01", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
    )
    def test_not_a_certificate(self, text: str | bytes) -> None:
        with pytest.raises(PkiError, match="not a certificate"):
            pki.fingerprint(text)


class TestFiles:
    def test_what_is_saved_can_be_loaded(self, ca: pki.Pair, tmp_path: Path) -> None:
        server = pki.issue_server(ca, HOSTS, now=NOW)
        files = pki.server_files(tmp_path / "new" / "certs")
        pki.save_pair(server, files)
        loaded = pki.load_pair(files)
        assert loaded.certificate == server.certificate
        assert loaded.issuers == (ca.certificate,)
        assert loaded.key_pem == server.key_pem
        assert pki.load_certificate(files.certificate) == server.certificate

    def test_keys_are_made_private(
        self, ca: pki.Pair, tmp_path: Path, open_umask: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real_open = os.open
        made: dict[str, int] = {}

        def spy(path: Path, flags: int, mode: int = 0o777) -> int:
            descriptor = real_open(path, flags, mode)
            if flags & os.O_CREAT:
                assert flags & os.O_EXCL
                made[Path(path).name] = stat.S_IMODE(os.fstat(descriptor).st_mode)
            return descriptor

        monkeypatch.setattr(os, "open", spy)
        files = pki.ca_files(tmp_path)
        pki.save_pair(ca, files)
        pki.save_pair(ca, files, replace=True)
        assert mode(files.key) == 0o600
        assert mode(files.certificate) == 0o644
        assert [m for name, m in made.items() if name.endswith("-ca-key.pem")] == [0o600, 0o600]

    def test_temporary_files_are_gone_and_would_be_ignored_by_git(
        self, ca: pki.Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        real_link = os.link

        def spy(source: Path, target: Path) -> None:
            seen.append(source.name)
            real_link(source, target)

        monkeypatch.setattr(os, "link", spy)
        pki.save_pair(ca, pki.ca_files(tmp_path))
        assert [name.endswith(".pem") for name in seen] == [True, True]
        assert sorted(contents(tmp_path)) == ["ca-key.pem", "ca.pem"]

    @pytest.mark.parametrize("existing", ["ca.pem", "ca-key.pem"])
    def test_nothing_is_overwritten(self, ca: pki.Pair, tmp_path: Path, existing: str) -> None:
        other = pki.make_ca(now=NOW)
        held = other.key_pem if "key" in existing else other.certificate_pem
        (tmp_path / existing).write_bytes(held)
        with pytest.raises(PkiError, match=f"{existing} exists already"):
            pki.save_pair(ca, pki.ca_files(tmp_path))
        assert contents(tmp_path) == {existing: held}

    def test_a_file_that_appears_meanwhile_is_not_overwritten(
        self, ca: pki.Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = pki.ca_files(tmp_path)
        real_link = os.link

        def late(source: Path, target: Path) -> None:
            if target == files.key:
                target.write_text("another run was faster")
            real_link(source, target)

        monkeypatch.setattr(os, "link", late)
        with pytest.raises(PkiError, match="exists already"):
            pki.save_pair(ca, files)
        assert contents(tmp_path) == {"ca-key.pem": b"another run was faster"}

    def test_a_file_system_without_hard_links(
        self, ca: pki.Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(source: Path, target: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        pki.save_pair(ca, pki.ca_files(tmp_path))
        assert pki.load_pair(pki.ca_files(tmp_path)).certificate == ca.certificate
        with pytest.raises(PkiError, match="exists already"):
            pki.save_pair(ca, pki.ca_files(tmp_path))

    def test_a_failed_replacement_leaves_the_old_pair(
        self, ca: pki.Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pki.save_pair(ca, pki.ca_files(tmp_path))
        before = contents(tmp_path)

        def fail(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(PkiError, match="No space left"):
            pki.save_pair(pki.make_ca(now=NOW), pki.ca_files(tmp_path), replace=True)
        assert contents(tmp_path) == before

    def test_a_file_where_the_folder_should_be(self, ca: pki.Pair, tmp_path: Path) -> None:
        (tmp_path / "certs").write_text("not a folder")
        with pytest.raises(PkiError, match="cannot write in"):
            pki.save_pair(ca, pki.ca_files(tmp_path / "certs"))

    def test_an_unwritable_folder(
        self, ca: pki.Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Faked: the tests may run as root, whom no mode keeps out.
        def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PkiError, match="Permission denied"):
            pki.save_pair(ca, pki.ca_files(tmp_path))

    def test_a_missing_file_is_named(self, ca: pki.Pair, tmp_path: Path) -> None:
        files = pki.ca_files(tmp_path)
        with pytest.raises(PkiError, match=r"ca.pem does not exist"):
            pki.load_pair(files)
        files.certificate.write_bytes(ca.certificate_pem)
        with pytest.raises(PkiError, match=r"ca-key.pem does not exist"):
            pki.load_pair(files)

    def test_an_unreadable_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").mkdir()
        with pytest.raises(PkiError, match=r"cannot read .*ca.pem"):
            pki.load_certificate(tmp_path / "ca.pem")

    def test_a_key_that_does_not_match(self, ca: pki.Pair, tmp_path: Path) -> None:
        files = pki.ca_files(tmp_path)
        pki.save_pair(ca, files)
        files.key.write_bytes(pki.make_ca(now=NOW).key_pem)
        with pytest.raises(PkiError, match="is not the key of"):
            pki.load_pair(files)

    @pytest.mark.parametrize(
        "content",
        [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    )
    def test_bad_pem(self, ca: pki.Pair, tmp_path: Path, content: bytes) -> None:
        files = pki.ca_files(tmp_path)
        files.certificate.write_bytes(content)
        files.key.write_bytes(content)
        with pytest.raises(PkiError, match="does not hold a certificate in PEM"):
            pki.load_pair(files)
        files.certificate.write_bytes(ca.certificate_pem)
        with pytest.raises(PkiError, match="does not hold a private key in PEM"):
            pki.load_pair(files)

    def test_keys_of_other_kinds(self, ca: pki.Pair, tmp_path: Path) -> None:
        files = pki.ca_files(tmp_path)
        pki.save_pair(ca, files)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        locked = serialization.BestAvailableEncryption(b"secret")
        files.key.write_bytes(ca.key.private_bytes(pem, pkcs8, locked))
        with pytest.raises(PkiError, match="passphrase"):
            pki.load_pair(files)
        other = ed25519.Ed25519PrivateKey.generate()
        files.key.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        with pytest.raises(PkiError, match="of another kind"):
            pki.load_pair(files)


class TestProvision:
    def test_an_empty_folder_gets_everything(self, tmp_path: Path) -> None:
        result = pki.provision(tmp_path, pki.Request(clients=("alice",)), now=NOW)
        assert [path.name for path in result.written] == [
            "ca.pem",
            "server.pem",
            "client-alice.pem",
        ]
        assert sorted(contents(tmp_path)) == [
            "ca-key.pem",
            "ca.pem",
            "client-alice-key.pem",
            "client-alice.pem",
            "server-key.pem",
            "server.pem",
        ]
        assert pki.hosts_of(result.server) == ("localhost", "127.0.0.1", "::1")

    def test_a_second_time_writes_nothing(self, tmp_path: Path) -> None:
        request = pki.Request(hosts=("chat.example.org",), clients=("alice",))
        first = pki.provision(tmp_path, request, now=NOW)
        before = contents(tmp_path)
        second = pki.provision(tmp_path, request, now=NOW)
        assert second == pki.Provision(first.ca, first.server, ())
        assert contents(tmp_path) == before

    def test_a_missing_server_is_issued_by_the_ca_that_is_there(
        self, ca: pki.Pair, tmp_path: Path
    ) -> None:
        pki.save_pair(ca, pki.ca_files(tmp_path))
        result = pki.provision(tmp_path, pki.Request(), now=NOW)
        assert result.ca == ca.certificate
        assert [path.name for path in result.written] == ["server.pem"]
        result.server.verify_directly_issued_by(ca.certificate)

    def test_a_folder_without_the_ca_key_is_complete_but_issues_nothing(
        self, tmp_path: Path
    ) -> None:
        pki.provision(tmp_path, pki.Request(), now=NOW)
        pki.ca_files(tmp_path).key.unlink()
        assert pki.provision(tmp_path, pki.Request(), now=NOW).written == ()
        for request in (pki.Request(clients=("alice",)), pki.Request(renew=True)):
            with pytest.raises(PkiError, match=r"ca-key.pem does not exist: only where the CA's"):
                pki.provision(tmp_path, request, now=NOW)

    def test_renew_replaces_the_server_and_keeps_ca_and_hosts(self, tmp_path: Path) -> None:
        request = pki.Request(hosts=("chat.example.org", "192.0.2.7"), clients=("alice",))
        pki.provision(tmp_path, request, now=NOW)
        before = contents(tmp_path)
        result = pki.provision(tmp_path, pki.Request(renew=True, days=7), now=NOW)
        changed = {name for name, held in contents(tmp_path).items() if held != before[name]}
        assert changed == {"server.pem", "server-key.pem"}
        assert pki.hosts_of(result.server) == ("chat.example.org", "192.0.2.7")
        assert pki.days_left(result.server, now=NOW) == 7
        assert mode(tmp_path / "server-key.pem") == 0o600

    def test_renew_for_other_hosts(self, tmp_path: Path) -> None:
        pki.provision(tmp_path, pki.Request(), now=NOW)
        result = pki.provision(tmp_path, pki.Request(renew=True, hosts=("new.example",)), now=NOW)
        assert pki.hosts_of(result.server) == ("new.example",)

    def test_renew_without_a_server_makes_one(self, ca: pki.Pair, tmp_path: Path) -> None:
        pki.save_pair(ca, pki.ca_files(tmp_path))
        result = pki.provision(tmp_path, pki.Request(renew=True), now=NOW)
        assert pki.hosts_of(result.server) == ("localhost", "127.0.0.1", "::1")

    def test_renew_without_a_ca(self, tmp_path: Path) -> None:
        with pytest.raises(PkiError, match="no CA to renew from"):
            pki.provision(tmp_path, pki.Request(renew=True), now=NOW)
        assert contents(tmp_path) == {}

    def test_renew_of_a_client_leaves_the_server(self, tmp_path: Path) -> None:
        pki.provision(tmp_path, pki.Request(clients=("alice", "bob")), now=NOW)
        before = contents(tmp_path)
        pki.provision(tmp_path, pki.Request(clients=("alice",), renew=True), now=NOW)
        changed = {name for name, held in contents(tmp_path).items() if held != before[name]}
        assert changed == {"client-alice.pem", "client-alice-key.pem"}

    def test_force_starts_anew(self, tmp_path: Path) -> None:
        pki.provision(tmp_path, pki.Request(clients=("alice",)), now=NOW)
        before = contents(tmp_path)
        result = pki.provision(tmp_path, pki.Request(force=True), now=NOW)
        changed = {name for name, held in contents(tmp_path).items() if held != before[name]}
        assert changed == {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"}
        result.server.verify_directly_issued_by(result.ca)
        with pytest.raises(PkiError, match=r"client-alice.pem was not issued by the CA"):
            pki.provision(tmp_path, pki.Request(clients=("alice",)), now=NOW)

    def test_force_with_a_client_replaces_only_that(self, tmp_path: Path) -> None:
        pki.provision(tmp_path, pki.Request(clients=("alice",)), now=NOW)
        before = contents(tmp_path)
        pki.provision(tmp_path, pki.Request(clients=("alice",), force=True), now=NOW)
        changed = {name for name, held in contents(tmp_path).items() if held != before[name]}
        assert changed == {"client-alice.pem", "client-alice-key.pem"}

    def test_force_replaces_even_what_cannot_be_read(self, tmp_path: Path) -> None:
        for name in ("ca.pem", "ca-key.pem", "server.pem", "server-key.pem"):
            (tmp_path / name).write_text("broken")
        pki.provision(tmp_path, pki.Request(force=True), now=NOW)
        assert pki.provision(tmp_path, pki.Request(), now=NOW).written == ()

    def test_a_host_that_the_existing_certificate_lacks(self, tmp_path: Path) -> None:
        pki.provision(tmp_path, pki.Request(), now=NOW)
        before = contents(tmp_path)
        asked = pki.Request(hosts=("LOCALHOST", "chat.example.org"))
        with pytest.raises(PkiError, match=r"server.pem is not for chat.example.org: renew"):
            pki.provision(tmp_path, asked, now=NOW)
        assert contents(tmp_path) == before

    def test_a_server_of_another_ca(self, ca: pki.Pair, tmp_path: Path) -> None:
        pki.save_pair(ca, pki.ca_files(tmp_path))
        stranger = pki.issue_server(pki.make_ca(now=NOW), HOSTS, now=NOW)
        pki.save_pair(stranger, pki.server_files(tmp_path))
        with pytest.raises(PkiError, match=r"server.pem was not issued by the CA"):
            pki.provision(tmp_path, pki.Request(), now=NOW)
        assert pki.provision(tmp_path, pki.Request(renew=True), now=NOW).written

    def test_a_client_whose_key_went_to_its_owner(self, tmp_path: Path) -> None:
        request = pki.Request(clients=("alice",))
        pki.provision(tmp_path, request, now=NOW)
        pki.client_files(tmp_path, "alice").key.unlink()
        assert pki.provision(tmp_path, request, now=NOW).written == ()

    @pytest.mark.parametrize(
        "request_",
        [
            pki.Request(hosts=("not a host",)),
            pki.Request(clients=("a/b",)),
            pki.Request(days=0),
        ],
    )
    def test_a_wrong_request_writes_nothing(self, tmp_path: Path, request_: pki.Request) -> None:
        with pytest.raises(PkiError):
            pki.provision(tmp_path, request_, now=NOW)
        assert contents(tmp_path) == {}


class _Crash(BaseException):
    """Not an error of ours and not an OSError: what a killed process looks like from inside."""


class TestCrash:
    """A run that ends between the two files of a pair is mended by the same run again."""

    @pytest.fixture
    def crash_before(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
        """Put a file's name in under "name" to crash just before it comes into its place."""
        target: dict[str, str] = {}
        for function in ("link", "replace"):
            real = getattr(os, function)

            def place(source: Path, path: Path, real: object = real) -> None:
                if target.get("name") == path.name:
                    raise _Crash
                assert callable(real)
                real(source, path)

            monkeypatch.setattr(os, function, place)
        yield target
        target.clear()

    @pytest.mark.parametrize(
        "name",
        ["ca-key.pem", "ca.pem", "server-key.pem", "server.pem", "client-alice.pem"],
    )
    def test_while_making(self, tmp_path: Path, crash_before: dict[str, str], name: str) -> None:
        request = pki.Request(clients=("alice",))
        crash_before["name"] = name
        with pytest.raises(_Crash):
            pki.provision(tmp_path, request, now=NOW)
        left = contents(tmp_path)
        assert name not in left

        crash_before.clear()
        pki.provision(tmp_path, request, now=NOW)
        assert pki.provision(tmp_path, request, now=NOW).written == ()
        for path, held in left.items():  # mended without overwriting anything
            assert (tmp_path / path).read_bytes() == held
        for files in (pki.ca_files(tmp_path), pki.client_files(tmp_path, "alice")):
            assert pki.load_pair(files)

    @pytest.mark.parametrize(
        ("name", "again"),
        [
            ("server.pem", pki.Request(renew=True)),
            ("server.pem", pki.Request(force=True)),
            ("ca.pem", pki.Request(force=True)),
        ],
    )
    def test_while_replacing(
        self, tmp_path: Path, crash_before: dict[str, str], name: str, again: pki.Request
    ) -> None:
        pki.provision(tmp_path, pki.Request(), now=NOW)
        crash_before["name"] = name
        with pytest.raises(_Crash):
            pki.provision(tmp_path, again, now=NOW)
        crash_before.clear()
        with pytest.raises(PkiError, match="is not the key of"):
            pki.provision(tmp_path, pki.Request(), now=NOW)

        pki.provision(tmp_path, again, now=NOW)
        assert pki.provision(tmp_path, pki.Request(), now=NOW).written == ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``provision`` leaves it, with a client."""
    path = tmp_path_factory.mktemp("certs")
    pki.provision(path, pki.Request(hosts=HOSTS, clients=("alice",)), now=NOW)
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
class TestOpenssl:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["-purpose", "sslserver", "-verify_hostname", "localhost", "server.pem"],
            ["-purpose", "sslserver", "-verify_hostname", "chat.example.org", "server.pem"],
            ["-purpose", "sslserver", "-verify_ip", "127.0.0.1", "server.pem"],
            ["-purpose", "sslserver", "-verify_ip", "::1", "server.pem"],
            ["-purpose", "sslclient", "client-alice.pem"],
            ["-check_ss_sig", "ca.pem"],
        ],
    )
    def test_strict_verification(self, folder: Path, arguments: list[str]) -> None:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
    def test_a_device_verifies_itself_and_no_other(self, tmp_path: Path, purpose: str) -> None:
        for name in ("one", "other"):
            pki.save_pair(pki.make_device(), pki.device_files(tmp_path / name))
        verify = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
        trusting_one = [*verify, "-CAfile", "one/device.pem"]
        codes = [
            subprocess.run(
                [*trusting_one, f"{name}/device.pem"],
                cwd=tmp_path,
                capture_output=True,
                check=False,
            ).returncode
            for name in ("one", "other")
        ]
        assert codes[0] == 0
        assert codes[1] != 0

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-purpose", "sslclient", "server.pem"],
            ["-purpose", "sslserver", "client-alice.pem"],
            ["-purpose", "sslserver", "-verify_hostname", "elsewhere.example", "server.pem"],
        ],
    )
    def test_no_certificate_is_good_for_anything_else(
        self, folder: Path, arguments: list[str]
    ) -> None:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode != 0

    def test_the_fingerprint_is_the_one_openssl_prints(self, folder: Path) -> None:
        command = ["openssl", "x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        expected = pki.fingerprint((folder / "ca.pem").read_bytes())
        assert done.stdout.strip().partition("=")[2] == expected


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A whole TLS handshake in memory; raises what the side that fails raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
        if not waiting:
            return ends
    raise AssertionError("the handshake does not end")


def client_context(cafile: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(cafile))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def server_context(files: pki.PairFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


class TestHandshake:
    @pytest.mark.parametrize("host", HOSTS)
    def test_a_strict_client_accepts_the_server(self, folder: Path, host: str) -> None:
        client, _ = shake_hands(
            client_context(folder / "ca.pem"), server_context(pki.server_files(folder)), host
        )
        assert client.version() == "TLSv1.3"

    def test_the_chain_that_the_server_sends_ends_with_the_ca(self, folder: Path) -> None:
        chain = pki.load_pair(pki.server_files(folder)).issuers
        assert [pki.fingerprint(one) for one in chain] == [
            pki.fingerprint((folder / "ca.pem").read_bytes())
        ]

    def test_the_server_knows_a_client_by_its_certificate(self, folder: Path) -> None:
        server_side = server_context(pki.server_files(folder))
        server_side.load_verify_locations(folder / "ca.pem")
        server_side.verify_mode = ssl.CERT_REQUIRED
        server_side.verify_flags |= ssl.VERIFY_X509_STRICT
        client_side = client_context(folder / "ca.pem")
        alice = pki.client_files(folder, "alice")
        client_side.load_cert_chain(alice.certificate, alice.key)
        _, server = shake_hands(client_side, server_side, "localhost")
        certificate = server.getpeercert()
        assert certificate is not None
        assert certificate["subject"] == ((("commonName", "alice"),),)

    def test_another_name_is_refused(self, folder: Path) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands(
                client_context(folder / "ca.pem"),
                server_context(pki.server_files(folder)),
                "elsewhere.example",
            )

    def test_another_ca_is_refused(self, folder: Path, tmp_path: Path) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            shake_hands(
                client_context(tmp_path / "other.pem"),
                server_context(pki.server_files(folder)),
                "localhost",
            )


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("laptop", ("localhost", "127.0.0.1", "::1", "laptop")),
        ("localhost", ("localhost", "127.0.0.1", "::1")),
        ("my_laptop", ("localhost", "127.0.0.1", "::1")),
        ("", ("localhost", "127.0.0.1", "::1")),
    ],
)
def test_default_hosts(machine: str, expected: tuple[str, ...]) -> None:
    assert pki.default_hosts(machine) == expected


def test_public_names_exist_and_are_documented() -> None:
    for name in pki.__all__:
        assert hasattr(pki, name)
        if callable(getattr(pki, name)):
            assert getattr(pki, name).__doc__
