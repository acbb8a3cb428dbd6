"""``securechat-server``: the console script."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import logging
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from securechat import __version__
from securechat.errors import ConfigError, LocalProtocolError, SecureChatError, TlsError
from securechat.irc.sasl import prepare_password
from securechat.server.config import Config
from securechat.server.config_file import load_config, print_default_config
from securechat.server.relay import Relay
from securechat.store.database import open_database
from securechat.store.invites import Invites
from securechat.store.passwords import hash_password

__all__ = ["build_parser", "main"]

_DESCRIPTION: Final = """\
A relay for a private chat: IRCv3 over TLS.

Exit codes: 0 stopped in good order, 1 cannot run, 2 the configuration or a flag is wrong."""

_CODE_BYTES: Final = 12
"""Randomness in an invitation code, in bytes: nobody guesses 96 bits over a network."""

_USES_MOST: Final = 1_000_000
_DAYS_MOST: Final = 36_500


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="securechat-server",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="a TOML file; see --print-default-config")
    add(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="where to listen, repeatable; port 0 takes a free one (default: localhost:6697)",
    )
    add("--cert", metavar="FILE", help="the certificate with its chain, PEM (with --key)")
    add("--key", metavar="FILE", help="its private key, PEM (with --cert)")
    add("--client-ca", metavar="FILE", help="a CA whose client certificates log their holder in")
    add("--data", metavar="DIR", help="the folder of the database (default: data)")
    add("--print-default-config", action="store_true", help="print a commented file and exit")
    add("--check-config", action="store_true", help="check the configuration and exit")
    add("--version", action="version", version=f"securechat {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="other commands")
    invite = commands.add_parser("invite", help="make an invitation code; the relay may run")
    invite.add_argument("--uses", type=int, default=1, metavar="N", help="default: 1")
    invite.add_argument("--days", type=float, default=7.0, metavar="D", help="default: 7")
    commands.add_parser("hash-password", help="hash an operator's password for the configuration")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console script; return the exit code."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if (options.cert is None) != (options.key is None):
        parser.error("--cert and --key belong together")
    if options.print_default_config:
        print(print_default_config(), end="")  # noqa: T201 - what was asked for
        return 0
    try:
        config = load_config(options.config, _overrides(options))
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return 2
    if options.check_config:
        return 0
    try:
        match options.command:
            case "invite":
                return _invite(parser, config, options.uses, options.days)
            case "hash-password":
                return _hash_password(config)
            case _:
                return _run(config)
    except TlsError as error:
        _complain(f"{error}. scripts/gen_certs.py makes a certificate and its key.")
    except SecureChatError as error:
        _complain(str(error))
    return 1


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what the flags say, in the form of the configuration file."""
    given: dict[str, dict[str, Any]] = {
        "server": {"listen": options.listen},
        "tls": {
            "certificate": options.cert,
            "key": options.key,
            "client_ca": options.client_ca,
        },
        "store": {
            "path": str(Path(options.data, "securechat.db")) if options.data else None,
        },
    }
    return {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in given.items()
    }


def _run(config: Config) -> int:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # From here on a signal only asks for the end: a half-built relay must not be torn down.
    ending = threading.Event()
    reason = "The relay is shutting down"

    def end(number: int, frame: object) -> None:
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    _raise_descriptor_limit()
    relay = Relay(config, ending=ending)
    relay.start()
    ending.wait()
    if relay.crash is not None:
        reason = "The relay has a fault and is stopping"
        _complain(f"a thread crashed: {relay.crash!r}")
    relay.stop(reason)
    return 0 if relay.crash is None else 1


class _LogFormatter(logging.Formatter):
    """One line for each event, safe for a terminal whatever names people give things."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return "".join(
            char if char.isprintable() or char == "\n" else ascii(char)[1:-1]
            for char in super().format(record)
        )


def _raise_descriptor_limit() -> None:
    """Ask for as many open files as the system allows: each connection is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _invite(parser: argparse.ArgumentParser, config: Config, uses: int, days: float) -> int:
    if not 1 <= uses <= _USES_MOST:
        parser.error(f"--uses must be from 1 to {_USES_MOST:,}")
    if not 0 < days <= _DAYS_MOST:
        parser.error(f"--days must be above 0 and at most {_DAYS_MOST:,}")
    code = secrets.token_urlsafe(_CODE_BYTES)
    now = time.time()
    connection = open_database(config.store.path, beside_relay=True)
    try:
        Invites(connection).create(code, uses=uses, expires_at=now + days * 86_400, created_at=now)
    finally:
        connection.close()
    print(f"invite:{code}")  # noqa: T201 - what was asked for
    return 0


def _hash_password(config: Config) -> int:
    try:
        prepared = prepare_password(_ask_password())
    except LocalProtocolError as error:
        _complain(str(error))
        return 2
    print(hash_password(prepared, config.accounts.argon2))  # noqa: T201 - what was asked for
    return 0


def _ask_password() -> str:
    """Return what was typed, or the first line of the standard input; empty for nothing."""
    if sys.stdin.isatty():
        try:
            return getpass.getpass("Password: ")
        except (EOFError, KeyboardInterrupt):
            return ""
    # Bytes that are no UTF-8 become what `prepare_password` refuses.
    return sys.stdin.buffer.readline().decode(errors="surrogateescape").rstrip("\r\n")


def _complain(text: str) -> None:
    print(f"securechat-server: {text}", file=sys.stderr)  # noqa: T201 - for the person who started it
