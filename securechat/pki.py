"""The private certificate authority: make it, issue from it, renew, read back; and devices.

This module is for certificates and keys as things in files. It makes a CA, issues certificates for
a relay and for people, writes them so that no key is ever readable by others, and reads them again
with an error that says what is wrong. ``scripts/gen_certs.py`` and ``securechat-server cert`` are
its faces. Beside the CA it makes the self-signed certificates by which peers know each other's
devices. It must not know sockets, TLS sessions or IRC: a client's name is a text that it writes
into a certificate. It reads no clock (the time comes in as an argument) and imports nothing of the
project but ``securechat.errors``.

Decisions, and why:

- *P-256 everywhere*: every TLS library in use by IRC clients has it, and the keys are small.
- *A new key with every certificate*, so a key that leaked is of no use for longer than that.
- *The chain in* ``server.pem`` *ends with the CA itself*, although TLS lets the root be left out: a
  client that has only the CA's fingerprint (from an invite) finds the certificate there.
- *Two files cannot be replaced as one.* The key is put in place first. A crash between the two
  leaves a key without a certificate, and the next run makes a certificate for that key (nothing
  has been issued or trusted under it yet). A crash while replacing leaves a key that does not match
  the certificate; that is found on reading, and ``--renew`` or ``--force`` given again mends it.
- *Names are kept on renewal.* A renewal is run by cron; it must not lose the names it is for.

All functions may be called from any thread. Those that take a path do file I/O.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securechat.errors import PkiError

__all__ = [
    "CA_DAYS",
    "CLIENT_DAYS",
    "SERVER_DAYS",
    "Pair",
    "PairFiles",
    "Provision",
    "Request",
    "ca_files",
    "ca_hash",
    "client_files",
    "days_left",
    "default_hosts",
    "device_files",
    "fingerprint",
    "has_signed",
    "hosts_of",
    "is_authority",
    "is_for",
    "issue_client",
    "issue_server",
    "left_key",
    "load_certificate",
    "load_pair",
    "make_ca",
    "make_device",
    "parse_host",
    "provision",
    "renew_server",
    "save_pair",
    "server_files",
]

CA_DAYS = 3650
"""Ten years: replacing the CA means going round to every client."""

SERVER_DAYS = 80
"""Short enough that a stolen key ages soon and renewing stays a habit."""

CLIENT_DAYS = 365
"""A person renews by hand, and there is no revocation list: a year is the compromise."""

_DEVICE_START = datetime(2000, 1, 1, tzinfo=UTC)
_DEVICE_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
# RFC 5280 section 4.1.2.5: "no well-defined expiration date". A pinned certificate is trusted until
# the user says otherwise: its dates mean nothing, and a device with a wrong clock must get through.

_BACKDATE = timedelta(hours=1)
# A device whose clock is a little slow must not find a brand-new certificate "not yet valid".

_NAME_LIMIT_CHARS = 30  # of a nick on the relay, as it is delivered; an account is named as a nick
_HOST_LIMIT_CHARS = 253  # RFC 1035 section 2.3.4: 255 octets on the wire, less two length octets
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_IDNA_DEVIATIONS = "ßς\u200c\u200d"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# What the relay accepts as an account: a nick in ASCII, or the certificate could never log in. Of
# []\`_^{|} (a nick may have them) only "_": the name is a part of a file's name, the others
# mean something to a shell, and two of them cannot be in a file's name on Windows.


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, its private key and the certificates above it (nearest first). Immutable."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        """The certificate and, after it, its issuers."""
        chain = (self.certificate, *self.issuers)
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS #8, not encrypted."""
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(pem, pkcs8, serialization.NoEncryption())


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Where a pair lies. Immutable."""

    certificate: Path
    key: Path


def ca_files(folder: Path) -> PairFiles:
    """The CA's files in ``folder``."""
    return PairFiles(folder / "ca.pem", folder / "ca-key.pem")


def server_files(folder: Path) -> PairFiles:
    """The relay's files in ``folder``."""
    return PairFiles(folder / "server.pem", folder / "server-key.pem")


def client_files(folder: Path, name: str) -> PairFiles:
    """The files of the client ``name`` in ``folder``; ``PkiError`` if the name is not usable."""
    _check_client_name(name)
    return PairFiles(folder / f"client-{name}.pem", folder / f"client-{name}-key.pem")


def device_files(folder: Path) -> PairFiles:
    """The files of this device in ``folder``."""
    return PairFiles(folder / "device.pem", folder / "device-key.pem")


def make_ca(*, now: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Pair:
    """A new CA, valid for ``CA_DAYS`` from ``now`` (aware), with ``key`` or a new one."""
    key = key or _new_key()
    # A name of its own for each CA: with one name for all, a client that still has an older ca.pem
    # reports a bad signature where "unknown issuer" is the truth.
    name = _name(f"securechat CA {secrets.token_hex(4)}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _builder(name, key, now - _BACKDATE, now + timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(certificates=True), critical=True)
    return Pair(_sign(builder, name, identifier, key), key)


def issue_server(
    ca: Pair,
    hosts: Iterable[str],
    *,
    now: datetime,
    days: int = SERVER_DAYS,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Pair:
    """A certificate for a relay that is reached under ``hosts`` (names or IP addresses).

    It ends after ``days`` or with the CA, whichever is sooner. ``PkiError`` if a host is not valid,
    there is none, or the CA cannot issue at ``now``.
    """
    names = list(dict.fromkeys(parse_host(host) for host in hosts))
    if not names:
        raise PkiError("a server certificate needs at least one host name or IP address")
    # The common name is for people only: clients look at the alternative names (RFC 9525), which
    # have no limit of 64 characters.
    alternatives = x509.SubjectAlternativeName(names)
    server_auth = ExtendedKeyUsageOID.SERVER_AUTH
    return _issue(ca, "securechat relay", server_auth, now, days, key, alternatives)


def renew_server(
    ca: Pair, old: x509.Certificate, *, now: datetime, days: int = SERVER_DAYS
) -> Pair:
    """A new key and certificate for the hosts that ``old`` is for."""
    return issue_server(ca, hosts_of(old), now=now, days=days)


def issue_client(
    ca: Pair,
    name: str,
    *,
    now: datetime,
    days: int = CLIENT_DAYS,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Pair:
    """A certificate with which the account ``name`` logs in (SASL EXTERNAL).

    ``PkiError`` if the name is not usable or the CA cannot issue at ``now``.
    """
    _check_client_name(name)
    return _issue(ca, name, ExtendedKeyUsageOID.CLIENT_AUTH, now, days, key)


def make_device(*, key: ec.EllipticCurvePrivateKey | None = None) -> Pair:
    """A device's certificate, self-signed, with ``key`` or a new one; it never expires.

    All of them have one name, for the name of a device is its fingerprint. In a direct session a
    device is now the server, now the client, so it is good for both.
    """
    key = key or _new_key()
    name = _name("securechat device")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _builder(name, key, _DEVICE_START, _DEVICE_END)
    purposes = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    return Pair(_sign(_end_entity(builder, *purposes), name, identifier, key), key)


def _issue(
    ca: Pair,
    common_name: str,
    purpose: x509.ObjectIdentifier,
    now: datetime,
    days: int,
    key: ec.EllipticCurvePrivateKey | None,
    alternatives: x509.SubjectAlternativeName | None = None,
) -> Pair:
    identifier = _check_can_issue(ca.certificate, now)
    _check_days(days)
    key = key or _new_key()
    start = max(now - _BACKDATE, ca.certificate.not_valid_before_utc)
    end = min(now + timedelta(days=days), ca.certificate.not_valid_after_utc)
    builder = _end_entity(_builder(_name(common_name), key, start, end), purpose)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    certificate = _sign(builder, ca.certificate.subject, identifier, ca.key)
    return Pair(certificate, key, (ca.certificate, *ca.issuers))


def _check_can_issue(certificate: x509.Certificate, now: datetime) -> x509.SubjectKeyIdentifier:
    """The CA's key identifier, once it is clear that it is a CA and valid at ``now``."""
    extensions = certificate.extensions
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise PkiError("the certificate given as CA was not made to be one") from error
    if not (basic.ca and usage.key_cert_sign):
        raise PkiError("the certificate given as CA was not made to be one")
    if now > certificate.not_valid_after_utc:
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        raise PkiError("the CA expired on {end}", end=end)
    if now < certificate.not_valid_before_utc:
        start = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise PkiError(
            "the CA is valid only from {start}: is this machine's clock right?", start=start
        )
    return identifier


def _check_days(days: int) -> None:
    if not 1 <= days <= CA_DAYS:
        raise PkiError(
            "a certificate can be valid for 1 to {limit} days, not {days}", limit=CA_DAYS, days=days
        )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    public_key = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _end_entity(
    builder: x509.CertificateBuilder, *purposes: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    """Of a certificate that issues no others and is good for ``purposes``."""
    basic = x509.BasicConstraints(ca=False, path_length=None)
    return (
        builder.add_extension(basic, critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    issuer: x509.Name,
    issuer_identifier: x509.SubjectKeyIdentifier,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier)
    builder = builder.issuer_name(issuer).add_extension(authority, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, certificates: bool) -> x509.KeyUsage:
    # An ECDSA key in TLS signs and does nothing else (RFC 8446 section 4.4.2.2); a CA's key signs
    # certificates and no handshakes.
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def parse_host(host: str) -> x509.GeneralName:
    """``host`` as a certificate names it: an IP address, or a DNS name in A-labels, lower case.

    An IPv6 address may stand in brackets. ``PkiError`` says what is wrong with any other text.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if "%" in bare:
        raise PkiError("{host!r}: an address with a zone is valid on one machine only", host=host)
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(bare))
    deviating = sorted(set(host) & set(_IDNA_DEVIATIONS))
    if deviating:
        # IDNA 2003 (which the standard library has) and IDNA 2008 turn these into different names;
        # a certificate for the wrong one would be refused by half of the clients.
        raise PkiError(
            "{host!r}: programs disagree on {part!r}; give its xn-- form",
            host=host,
            part=deviating[0],
        )
    try:
        ascii_name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise PkiError("{host!r} is not a host name", host=host) from error
    labels = ascii_name.split(".")
    if len(ascii_name) > _HOST_LIMIT_CHARS or not all(map(_LABEL.fullmatch, labels)):
        raise PkiError(
            "{host!r} is not a host name: letters, digits and hyphens between dots", host=host
        )
    if labels[-1].isdigit():  # "10.0.0.256": programs would read it as a broken address
        raise PkiError("{host!r} is neither a host name nor an IP address", host=host)
    return x509.DNSName(ascii_name)


def default_hosts(machine_name: str) -> tuple[str, ...]:
    """What a server certificate is for when nobody says: this machine, by the names it surely has.

    ``machine_name`` is what the system calls it; one that no client could verify is left out.
    """
    hosts = ["localhost", "127.0.0.1", "::1"]
    try:
        parse_host(machine_name)
    except PkiError:
        return tuple(hosts)  # such as "my_laptop"
    if machine_name not in hosts:
        hosts.append(machine_name)
    return tuple(hosts)


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that a server certificate is for."""
    return tuple(str(name.value) for name in _host_names(certificate))


def is_for(names: Iterable[str], host: str) -> bool:
    """Whether one of the ``names`` of a certificate is ``host``; an asterisk stands for a label."""
    wanted = host.lower()
    _, _, parent = wanted.partition(".")
    return any(name.lower() in (wanted, f"*.{parent}") for name in names)


def _host_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]


def _check_client_name(name: str) -> None:
    if not 1 <= len(name) <= _NAME_LIMIT_CHARS:
        raise PkiError(
            "a client's name has 1 to {limit} characters, not {length}",
            limit=_NAME_LIMIT_CHARS,
            length=len(name),
        )
    wrong = [char for char in name if not _NAME.fullmatch(f"_{char}")]
    if wrong:
        raise PkiError(
            "a client's name cannot have {wrong!r}: it is an account and a file", wrong=wrong[0]
        )
    if not _NAME.fullmatch(name):
        raise PkiError(
            "a client's name cannot begin with {first!r}: no account does", first=name[0]
        )


def fingerprint(certificate: x509.Certificate | bytes | str) -> str:
    """The SHA-256 of a certificate (PEM, of which the first counts, or DER) as ``AB:CD:…``.

    This is the form that ``openssl x509 -fingerprint -sha256`` prints. ``PkiError`` if it is none.
    """
    if isinstance(certificate, str):
        certificate = certificate.encode()
    if isinstance(certificate, bytes):
        try:
            if b"-----BEGIN" in certificate:
                certificate = x509.load_pem_x509_certificate(certificate)
            else:
                certificate = x509.load_der_x509_certificate(certificate)
        except ValueError as error:
            raise PkiError("this is not a certificate, neither in PEM nor in DER") from error
    return ca_hash(certificate).hex(":").upper()


def ca_hash(certificate: x509.Certificate) -> bytes:
    """The SHA-256 of a certificate (of its DER): what an invite link says of that of a CA."""
    return certificate.fingerprint(hashes.SHA256())


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is the certificate of a CA."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that cannot be read
        return False


def has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether ``issuer`` has issued ``certificate``, itself perhaps."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def days_left(certificate: x509.Certificate, *, now: datetime) -> int:
    """Whole days until ``certificate`` expires; negative when it has."""
    return (certificate.not_valid_after_utc - now).days


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file; ``PkiError`` if there is none."""
    return _load_chain(path)[0]


def load_pair(files: PairFiles) -> Pair:
    """Certificate, chain and key; ``PkiError`` if one cannot be read or they do not match."""
    chain = _load_chain(files.certificate)
    key = _load_key(files.key)
    if chain[0].public_key() != key.public_key():
        raise PkiError(
            "{key} is not the key of {certificate}: make both anew",
            key=files.key,
            certificate=files.certificate,
        )
    return Pair(chain[0], key, tuple(chain[1:]))


def left_key(files: PairFiles) -> ec.EllipticCurvePrivateKey | None:
    """The key that a crash left without its certificate, if there is one.

    ``PkiError`` if it cannot be read.
    """
    return _load_key(files.key) if _is_there(files.key) else None


def save_pair(pair: Pair, files: PairFiles, *, replace: bool = False) -> None:
    """Write both files, key first, each complete or not at all; the key is created 0600.

    The folder is made if need be. Without ``replace`` nothing that exists is overwritten; only a
    key file that already holds the pair's own key may be there. ``PkiError`` says what went wrong.
    """
    contents = [(files.key, pair.key_pem, 0o600), (files.certificate, pair.certificate_pem, 0o644)]
    if not replace and _is_there(files.certificate):
        raise _exists(files.certificate)
    if not replace and _is_there(files.key):
        if _load_key(files.key).public_key() != pair.key.public_key():
            raise _exists(files.key)
        del contents[0]
    _write(contents, replace=replace)


def _load_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise PkiError("{path} does not hold a certificate in PEM", path=path) from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except TypeError as error:
        raise PkiError(
            "{path} is protected by a passphrase, which cannot be used here", path=path
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PkiError("{path} does not hold a private key in PEM", path=path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(
            "{path} holds a key of another kind than this program makes (P-256)", path=path
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PkiError("{path} does not exist", path=path) from error
    except OSError as error:
        raise PkiError("cannot read {path}: {reason}", path=path, reason=error.strerror) from error


def _exists(path: Path) -> PkiError:
    return PkiError("{path} exists already and is not overwritten", path=path)


def _write(contents: Sequence[tuple[Path, bytes, int]], *, replace: bool) -> None:
    """Write all contents beside their places, then put them in place in the order given."""
    folder = contents[0][0].parent
    staged: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content, mode in contents:
            # The name ends in .pem, so what a crash leaves behind is ignored by git as well.
            temporary = folder / f".new-{secrets.token_hex(4)}-{path.name}"
            staged.append(temporary)
            _write_new(temporary, content, mode)
        for temporary, (path, _, _) in zip(staged, contents, strict=True):
            _put_in_place(temporary, path, replace=replace)
        _sync_folder(folder)
    except OSError as error:
        raise PkiError(
            "cannot write in {folder}: {reason}", folder=folder, reason=error.strerror
        ) from error
    finally:
        for temporary in staged:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    # The mode is given when the file is made: a chmod afterwards leaves a moment to open it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _put_in_place(temporary: Path, path: Path, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, path)
        return
    try:
        # A link fails if the name is taken, where a rename would overwrite what another run made
        # in the meantime (so two runs at once cannot mix the key of one with the other's CA).
        os.link(temporary, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:  # a file system without hard links
        if _is_there(path):
            raise _exists(path) from None
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can open or sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Request:
    """What a folder shall hold. Immutable.

    ``hosts`` are asked for by the user and must be in the server's certificate; with none given, an
    existing certificate keeps its own and a new one gets ``default_hosts``. ``days`` of ``None``
    means the usual time. ``renew`` and ``force`` are about ``clients`` if any are named, else about
    the server; ``force`` without clients starts anew, CA included.
    """

    hosts: tuple[str, ...] = ()
    default_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    clients: tuple[str, ...] = ()
    days: int | None = None
    renew: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Provision:
    """What a folder holds after ``provision``, and which certificates it made. Immutable."""

    ca: x509.Certificate
    server: x509.Certificate
    written: tuple[Path, ...]


def provision(folder: Path, request: Request, *, now: datetime) -> Provision:
    """Make whatever ``request`` asks for and ``folder`` does not have yet.

    Nothing that exists is overwritten unless ``renew`` or ``force`` says so. The CA's key is read
    only to issue something, so a folder from which it was taken to a safe place is still complete.
    ``PkiError`` if the request cannot be met; a request that is wrong in itself writes nothing.
    """
    for host in (*request.hosts, *request.default_hosts):
        parse_host(host)
    if request.days is not None:
        _check_days(request.days)
    clients = {name: client_files(folder, name) for name in request.clients}
    replace = request.renew or request.force
    written: list[Path] = []

    ca = ca_files(folder)
    start_anew = request.force and not clients
    if start_anew or not (request.renew or _is_there(ca.certificate)):
        pair = make_ca(now=now, key=None if start_anew else left_key(ca))
        save_pair(pair, ca, replace=start_anew)
        written.append(ca.certificate)
    elif not _is_there(ca.certificate):
        raise PkiError(
            "{certificate} does not exist: there is no CA to renew from", certificate=ca.certificate
        )
    # The CA's key may be away, but if it is here it must be the right one.
    ca_certificate = (
        load_pair(ca).certificate if _is_there(ca.key) else load_certificate(ca.certificate)
    )

    server = server_files(folder)
    if not _is_there(server.certificate) or (replace and not clients):
        _provide_server(ca, server, request, now=now, replace=replace and not clients)
        written.append(server.certificate)
    server_certificate = _check_server(ca_certificate, server, request.hosts)

    for name, files in clients.items():
        if not _is_there(files.certificate) or replace:
            key = None if replace else left_key(files)
            days = CLIENT_DAYS if request.days is None else request.days
            pair = issue_client(_load_ca(ca), name, now=now, days=days, key=key)
            save_pair(pair, files, replace=replace)
            written.append(files.certificate)
        # The key may be gone: it belongs with the person.
        _check_issued_by(ca_certificate, load_certificate(files.certificate), files.certificate)
    return Provision(ca_certificate, server_certificate, tuple(written))


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)  # a dangling link is something too, and not ours to overwrite


def _load_ca(files: PairFiles) -> Pair:
    if not _is_there(files.key):
        raise PkiError(
            "{key} does not exist: only where the CA's key is can it issue", key=files.key
        )
    return load_pair(files)


def _provide_server(
    ca: PairFiles, files: PairFiles, request: Request, *, now: datetime, replace: bool
) -> None:
    hosts = request.hosts or request.default_hosts
    if request.renew and not request.hosts and _is_there(files.certificate):
        hosts = hosts_of(load_certificate(files.certificate))
    key = None if replace else left_key(files)
    days = SERVER_DAYS if request.days is None else request.days
    pair = issue_server(_load_ca(ca), hosts, now=now, days=days, key=key)
    save_pair(pair, files, replace=replace)


def _check_server(ca: x509.Certificate, files: PairFiles, hosts: Iterable[str]) -> x509.Certificate:
    certificate = load_pair(files).certificate
    _check_issued_by(ca, certificate, files.certificate)
    held = _host_names(certificate)
    missing = [host for host in hosts if parse_host(host) not in held]
    if missing:
        raise PkiError(
            "{certificate} is not for {hosts}: renew it with all hosts",
            certificate=files.certificate,
            hosts=", ".join(missing),
        )
    return certificate


def _check_issued_by(ca: x509.Certificate, certificate: x509.Certificate, path: Path) -> None:
    if not has_signed(ca, certificate):
        raise PkiError(
            "{path} was not issued by the CA in {folder}: renew it", path=path, folder=path.parent
        )
