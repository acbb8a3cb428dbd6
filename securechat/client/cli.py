"""The program ``securechat-client``."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import securechat
from securechat.client.client import DEFAULT_PORT, Client
from securechat.client.line_mode import LineMode
from securechat.client.pipe_mode import PipeMode
from securechat.client.safe_text import make_safe
from securechat.client.terminal import open_terminal
from securechat.errors import CertificateRejected, ConfigError, LocalProtocolError, SecureChatError

__all__ = ["Options", "build_parser", "main", "read_options"]

OK: Final = 0
FAILED: Final = 1
REFUSED: Final = 2

_EPILOG: Final = """\
With a terminal it is a chat: type, or /help. With input from a pipe each line is said to the room
of --join (or to whom --to names), acknowledged, and then the program ends; so does the word exit
on a line.

The server's certificate and name are always verified.

exit codes:
  0  left in good order; all lines of a pipe were acknowledged
  1  no connection, no login, or lines that were not acknowledged
  2  the certificate of the server was rejected, or the arguments are wrong
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Immutable."""

    host: str
    port: int
    ca: Path | None
    nick: str
    account: str | None
    password_file: Path | None
    certificate: Path | None
    key: Path | None
    realname: str
    channels: tuple[str, ...]
    to: str
    reconnect: bool


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="securechat-client",
        description="A chat client: IRC over TLS that always verifies.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--ca", type=Path, metavar="FILE", help="trust this CA, and no other (PEM)")
    add("--host", default="localhost", help="the server (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="its port (default: %(default)s)")
    add("--nick", default="", help="your name in the chat; asked for when missing")
    add("--account", help="log in to this account (default: the nick)")
    add("--password-file", type=Path, metavar="FILE", help="log in with its first line")
    add("--cert", type=Path, metavar="FILE", help="log in with this certificate (PEM)")
    add("--key", type=Path, metavar="FILE", help="its key, if it is not in the same file")
    add("--realname", default="", help="more about you, for all to see")
    add("--join", action="append", default=[], metavar="#ROOM", help="enter this room; repeatable")
    add("--to", default="", metavar="TARGET", help="say the lines of a pipe to this room or nick")
    add("--no-reconnect", action="store_true", help="end when the connection is lost")
    add("--version", action="version", version=f"%(prog)s {securechat.__version__}")
    return parser


def read_options(arguments: argparse.Namespace, *, terminal: bool) -> Options:
    """Return the options in ``arguments``. Changes nothing; looks whether the files are there.

    :param terminal: whether there is somebody to ask.
    :raises ConfigError: they do not fit together.
    """
    problems = []
    if not 1 <= arguments.port <= 65535:
        problems.append("--port must be from 1 to 65535")
    if not arguments.host:
        problems.append("--host must not be empty")
    if arguments.key and not arguments.cert:
        problems.append("--key needs --cert")
    if arguments.account and not arguments.password_file and not arguments.cert and not terminal:
        problems.append("--account needs --password-file or --cert when input is a pipe")
    problems += [
        f"--{flag} {path}: cannot be read"
        for flag, path in (("ca", arguments.ca), ("cert", arguments.cert), ("key", arguments.key))
        if path is not None and not os.access(path, os.R_OK)
    ]
    if not terminal and not (arguments.nick or arguments.account):
        problems.append("--nick is needed when input is a pipe")
    if not terminal and not (arguments.to or arguments.join):
        problems.append("--join or --to is needed when input is a pipe: where do its lines go?")
    if problems:
        raise ConfigError(problems)
    return Options(
        host=arguments.host,
        port=arguments.port,
        ca=arguments.ca,
        nick=arguments.nick or arguments.account or "",
        account=arguments.account,
        password_file=arguments.password_file,
        certificate=arguments.cert,
        key=arguments.key,
        realname=arguments.realname,
        channels=tuple(arguments.join),
        to=arguments.to,
        reconnect=not arguments.no_reconnect,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if sys.stdin is None:  # closed by whoever started us; the annotation does not know of that
        parser.error("there is no standard input")
    terminal = sys.stdin.isatty()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # others write what this locale cannot
    try:
        options = read_options(arguments, terminal=terminal)
        password = _read_password(options.password_file)
        return (_chat if terminal else _pipe)(options, password)
    except (ConfigError, LocalProtocolError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return OK if terminal else FAILED
    except BrokenPipeError:  # nobody reads what we print; nor must the interpreter try at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _chat(options: Options, password: str | None) -> int:
    nick = options.nick or _ask_nick()
    if options.account and password is None and options.certificate is None:
        password = getpass.getpass(f"Password for {options.account}: ")
    terminal = open_terminal()
    client = _client(options, nick, password, on_event=terminal.wake, interactive=True)
    ui = LineMode(client, channels=options.channels, clock=datetime.now)
    try:
        with client:
            client.start()
            try:
                terminal.run(ui)
            finally:
                client.close(ui.farewell)
    finally:
        terminal.close()
    return _report(ui.error)


def _pipe(options: Options, password: str | None) -> int:
    target = options.to or options.channels[0]
    mode = PipeMode(
        sys.stdin.fileno(),
        target,
        joining=target in options.channels,
        screen=sys.stdout,
        problems=sys.stderr,
        clock=datetime.now,
    )
    with _client(options, options.nick, password, on_event=mode.wake, interactive=False) as client:
        client.start()
        complete = mode.run(client)
    return _report(mode.error) or (OK if complete else FAILED)


def _client(
    options: Options,
    nick: str,
    password: str | None,
    *,
    on_event: Callable[[], None],
    interactive: bool,
) -> Client:
    return Client(
        options.host,
        options.port,
        nick=nick,
        ca=options.ca,
        account=options.account,
        password=password,
        certificate=options.certificate,
        key=options.key,
        realname=options.realname,
        channels=options.channels,
        reconnect=options.reconnect and interactive,
        interactive=interactive,
        on_event=on_event,
    )


def _report(error: SecureChatError | None) -> int:
    if error is None:
        return OK
    sys.stderr.write(f"securechat-client: {make_safe(str(error))}\n")
    if isinstance(error, CertificateRejected):
        sys.stderr.write(f"{error.advice}\n")
        return REFUSED
    return FAILED


def _ask_nick() -> str:
    try:
        while True:
            nick = input("Your nick: ").strip()
            if nick and " " not in nick:
                return nick
    except EOFError:
        raise KeyboardInterrupt from None


def _read_password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read ({error})"]) from error
