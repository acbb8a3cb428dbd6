"""``cert``: the relay's certificate: make what is missing, renew it, tell how it is.

What is made is of the private CA that lies beside it (``securechat.pki``). A certificate from
elsewhere (ACME, another CA, files of other names) is never touched: it is renewed where it comes
from, and the relay takes the new files by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import stat
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from securechat import pki
from securechat.errors import ConfigError, PkiError, SecureChatError
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import say, say_json
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.authority import find_authority
from securechat.server.certificate import WARN_DAYS
from securechat.server.config import Config, TlsConfig

__all__ = ["TOOLS", "time_left"]


def _is_ours(tls: TlsConfig) -> bool:
    """Return whether the CA beside the configured certificate has made it. Does file I/O.

    :raises PkiError: a file that is there cannot be read.
    """
    folder = tls.certificate.parent
    if pki.server_files(folder) != pki.PairFiles(tls.certificate, tls.key):
        return False
    authority, ca = find_authority(tls.certificate), pki.ca_files(folder).certificate
    if authority is None or not ca.exists():
        return False
    return pki.fingerprint(authority) == pki.fingerprint(pki.load_certificate(ca))


def _make(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    tls = desk.config.tls
    if tls.certificate.exists() and not _is_ours(tls):
        return {"made": [], "elsewhere": True, "notes": []} | _describe(desk)
    return _provide(desk, arguments, renew=False)


def _renew(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    tls = desk.config.tls
    if tls.certificate.exists() and not _is_ours(tls):
        raise PkiError(
            "{certificate} was not made by a CA in {folder}: renew it where it comes from (the "
            "ACME client, the CA); a relay that runs takes the new files by itself. To have one of "
            "a CA of your own instead, move it away, then: securechat-server cert make",
            certificate=tls.certificate,
            folder=tls.certificate.parent,
        )
    return _provide(desk, arguments, renew=True)


def _provide(desk: Desk, arguments: Arguments, *, renew: bool) -> dict[str, Any]:
    tls = desk.config.tls
    folder = tls.certificate.parent
    files = pki.server_files(folder)
    if files != pki.PairFiles(tls.certificate, tls.key):
        raise PkiError(
            "{certificate} does not exist, and under that name it cannot be made: [tls] must have "
            'certificate = "{made}" and key = "{key}"',
            certificate=tls.certificate,
            made=files.certificate,
            key=files.key,
        )
    # Without the fraction of a second a certificate for 80 days has 80 whole days left, not 79.
    now = desk.now().replace(microsecond=0)
    written = pki.provision(folder, _request(arguments, renew=renew), now=now).written
    notes = _have_it_taken(desk) if written else []
    made = [str(path) for path in written]
    return {"made": made, "elsewhere": False, "notes": notes} | _describe(desk, now)


def _request(arguments: Arguments, *, renew: bool) -> pki.Request:
    hosts, days = arguments.get("hosts", []), arguments.get("days")
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ConfigError(["the hosts of a certificate must be a list of names"])
    if days is not None and type(days) is not int:
        raise ConfigError(["the days of a certificate must be a number"])
    defaults = pki.default_hosts(platform.node())
    return pki.Request(hosts=tuple(hosts), default_hosts=defaults, days=days, renew=renew)


def _have_it_taken(desk: Desk) -> list[str]:
    """Have a running relay take the new files now; return what it says of that."""
    if desk.relay is None:
        return []
    try:
        return desk.relay.reload()
    except SecureChatError as error:
        return [
            f"the relay takes the new files by itself in some seconds; a reload failed: {error}"
        ]


def _status(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    return _describe(desk)


def _describe(desk: Desk, now: datetime | None = None) -> dict[str, Any]:
    tls, now = desk.config.tls, now or desk.now()
    certificate, authority = pki.load_certificate(tls.certificate), find_authority(tls.certificate)
    ca = x509.load_pem_x509_certificate(authority) if authority is not None else None
    return {
        "certificate": str(tls.certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": list(pki.hosts_of(certificate)),
        **_validity(certificate, now),
        "key": str(tls.key),
        "key_mode": _mode(tls.key),
        "ca": _validity(ca, now) if ca is not None else None,
    }


def _validity(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    return {
        "from": certificate.not_valid_before_utc.isoformat(),
        "until": certificate.not_valid_after_utc.isoformat(),
        "days_left": pki.days_left(certificate, now=now),
        "sha256": pki.fingerprint(certificate),
    }


def _mode(path: Path) -> str | None:
    try:
        return f"{stat.S_IMODE(os.stat(path).st_mode):04o}"
    except OSError:
        return None


# ---- where the person is ----


def _configure(parser: argparse.ArgumentParser, *, hosts: str) -> None:
    add = parser.add_argument
    add("--host", metavar="NAME", action="append", default=[], help=hosts)
    add(
        "--days",
        metavar="N",
        type=_days,
        help=f"how long it is valid, at most to the end of the CA (default: {pki.SERVER_DAYS})",
    )


def _configure_make(parser: argparse.ArgumentParser) -> None:
    _configure(
        parser,
        hosts="a name or address by which clients reach the relay; repeatable "
        "(default: localhost, 127.0.0.1, ::1 and this machine's name)",
    )


def _configure_renew(parser: argparse.ArgumentParser) -> None:
    _configure(
        parser,
        hosts="a name or address by which clients reach the relay; repeatable, and then all of "
        "them must be given (default: those of the certificate as it is)",
    )


def _configure_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= pki.CA_DAYS:
        raise argparse.ArgumentTypeError(f"from 1 to {pki.CA_DAYS}")
    return int(text)


def _prepare(options: argparse.Namespace, config: Config) -> Arguments:
    try:
        for host in options.host:
            pki.parse_host(host)
    except PkiError as error:
        raise ConfigError([f"--host: {error}"]) from error
    return {"hosts": options.host, "days": options.days}


def _show_made(result: Any, options: argparse.Namespace) -> int:
    lines = [f"made {path}" for path in result["made"]]
    if result["elsewhere"]:
        lines.append(f"{result['certificate']} comes from elsewhere and stays as it is")
    elif not lines:
        lines.append(f"all is there already: {result['certificate']}")
    lines.append(f"it is for {', '.join(result['names'])}; {time_left(result['days_left'])}")
    if result["ca"] is not None:
        lines.append(f"CA fingerprint (SHA-256): {result['ca']['sha256']}")
    say("\n".join([*lines, *result["notes"]]))
    return 0


def _show_status(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
    else:
        say(_status_text(result))
    return 0 if result["days_left"] >= WARN_DAYS else 1


def _status_text(result: Any) -> str:
    ca = result["ca"]
    rows = [
        ("certificate", result["certificate"]),
        ("issued by", result["issuer"]),
        ("for", ", ".join(result["names"])),
        ("valid", f"from {_day(result['from'])} to {_day(result['until'])}"),
        ("", time_left(result["days_left"])),
        ("SHA-256", result["sha256"]),
        ("key", f"{result['key']} ({result['key_mode'] or 'cannot be found'})"),
    ]
    if ca is None:
        rows.append(("CA", "not with it: clients must know it already"))
    else:
        rows += [("CA", f"valid until {_day(ca['until'])}"), ("SHA-256", ca["sha256"])]
    return "\n".join(f"{name:12} {value}" for name, value in rows)


def time_left(days: int) -> str:
    """Return what there is to say of a certificate that is valid for so many days more."""
    advice = "renew it: securechat-server cert renew"
    if days < 0:
        return f"it HAS EXPIRED, no client connects; {advice}"
    if days < WARN_DAYS:
        return f"it ends in {days} days; {advice}"
    return f"{days} days are left"


def _day(text: str) -> str:
    return text.partition("T")[0]


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "cert make",
        "Make the private CA and the relay's certificate, or what is missing of them.",
        _make,
        _show_made,
        _configure_make,
        _prepare,
    ),
    Tool(
        "cert renew",
        "Make a new key and certificate of the same CA; a relay that runs takes it at once.",
        _renew,
        _show_made,
        _configure_renew,
        _prepare,
    ),
    Tool(
        "cert status",
        f"Show the certificate; exit code 1 if it ends in less than {WARN_DAYS} days.",
        _status,
        _show_status,
        _configure_status,
        changes=False,
    ),
)
