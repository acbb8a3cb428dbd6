"""Make the private CA and the relay's certificate; issue certificates for people; renew.

::

    python3 scripts/gen_certs.py                        all that is missing in certs/
    python3 scripts/gen_certs.py --host chat.example.org --host 192.0.2.7
    python3 scripts/gen_certs.py --client alice         a certificate to log in with
    python3 scripts/gen_certs.py --renew                a new server certificate, same CA and hosts

Needs the package ``cryptography``; once ``scripts/run.py`` or ``scripts/test.py`` has made
``.venv``, use ``.venv/bin/python``. Exit codes: 0 all is there; 1 it could not be done (one line on
standard error says why); 2 wrong arguments; 3 all is there, but the server certificate has expired.

This is a face on ``securechat.pki``: arguments in, lines out.
"""

import argparse
import importlib.util
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

MIN_PYTHON = (3, 11)
if sys.version_info[:2] < MIN_PYTHON:
    sys.exit("gen_certs.py: needs Python 3.11 or later, this is " + platform.python_version())

ROOT = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("securechat") is None:  # from a checkout, not installed
    sys.path.insert(0, str(ROOT))

NEEDS_CRYPTOGRAPHY = (
    "gen_certs.py: needs the package cryptography, 45.0 or later: python3 -m pip install "
    "--upgrade cryptography (or use .venv/bin/python, which scripts/run.py makes)"
)

try:
    import cryptography

    # The system's own Python often has one that is years older and would fail half-way.
    if int(cryptography.__version__.partition(".")[0]) < 45:
        sys.exit(NEEDS_CRYPTOGRAPHY)
    from securechat import pki
    from securechat.errors import PkiError
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "cryptography":
        raise
    sys.exit(NEEDS_CRYPTOGRAPHY)

EXIT_FAILED = 1
EXIT_EXPIRED = 3
RENEW_SOON_DAYS = 20  # a quarter of the usual time: early enough to be noticed


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gen_certs.py",
        description="Make the private CA and the relay's certificate, or whatever of them is "
        "missing. Nothing that exists is overwritten without --renew or --force.",
    )
    parser.add_argument(
        "--host",
        metavar="NAME|IP",
        action="append",
        default=[],
        help="a name or address under which clients reach the relay; may be repeated "
        "(default: localhost, 127.0.0.1, ::1 and this machine's name)",
    )
    parser.add_argument(
        "--client",
        metavar="NAME",
        action="append",
        default=[],
        help="also a certificate with which the account NAME logs in (SASL EXTERNAL); repeatable",
    )
    parser.add_argument(
        "--days",
        metavar="N",
        type=int,
        help=f"how long what is issued is valid (default: server {pki.SERVER_DAYS}, "
        f"client {pki.CLIENT_DAYS}; never longer than the CA)",
    )
    replacing = parser.add_mutually_exclusive_group()
    replacing.add_argument(
        "--renew",
        action="store_true",
        help="a new server certificate from the same CA, for the same hosts unless --host says "
        "otherwise; with --client, a new certificate for that client instead",
    )
    replacing.add_argument(
        "--force",
        action="store_true",
        help="start anew: a new CA (every client needs the new ca.pem, and client certificates "
        "must be issued again) and server certificate; with --client, only that client's",
    )
    parser.add_argument(
        "--dir",
        metavar="FOLDER",
        type=Path,
        default=ROOT / "certs",
        help="where they are kept (default: certs/ of this checkout)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    request = pki.Request(
        hosts=tuple(args.host),
        default_hosts=pki.default_hosts(platform.node()),
        clients=tuple(args.client),
        days=args.days,
        renew=args.renew,
        force=args.force,
    )
    # (datetime.UTC would fail to import in an older Python before the line that says so.)
    # Without the fraction of a second a certificate for 80 days has 80 whole days left, not 79.
    now = datetime.now(timezone.utc).replace(microsecond=0)  # noqa: UP017
    try:
        result = pki.provision(args.dir, request, now=now)
    except PkiError as error:
        print(f"gen_certs.py: {error}", file=sys.stderr)
        return EXIT_FAILED
    return report(result, args.dir, now)


def report(result: pki.Provision, folder: Path, now: datetime) -> int:
    days = pki.days_left(result.server, now=now)
    fingerprint = f"CA fingerprint (SHA-256): {pki.fingerprint(result.ca)}"
    if days < 0:
        state = "the server certificate HAS EXPIRED: --renew makes a new one"
    elif days < RENEW_SOON_DAYS:
        state = f"the server certificate expires in {days} days: --renew makes a new one"
    else:
        state = f"the server certificate is valid for {days} days"
    if not result.written:
        print(f"all exists already in {folder}; {state}. {fingerprint}")
    else:
        for path in result.written:
            print(f"made {path}")
        print(f"the server certificate is for {', '.join(pki.hosts_of(result.server))}")
        print(f"{state}\n{fingerprint}")
    return EXIT_EXPIRED if days < 0 else 0


if __name__ == "__main__":
    sys.exit(main())
