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
from securechat.client.downloads import default_downloads
from securechat.client.file_console import FileConsole
from securechat.client.file_mode import FileMode, ReceiveFiles, ReceiveJob, SendFiles, SendJob
from securechat.client.line_mode import LineMode
from securechat.client.peer_desk import why_not_sent
from securechat.client.pipe_mode import PipeMode
from securechat.client.safe_text import make_safe
from securechat.client.terminal import open_terminal
from securechat.client.translation import _, choose_language, explain, gettext_noop, languages
from securechat.client.wording import Wording
from securechat.errors import (
    CertificateRejected,
    ConfigError,
    LocalProtocolError,
    PkiError,
    SecureChatError,
    StoreError,
)
from securechat.peer.hub import Settings as PeerSettings
from securechat.peer.identity import default_folder

__all__ = ["Options", "build_parser", "main", "read_options"]

OK: Final = 0
FAILED: Final = 1
REFUSED: Final = 2

_EPILOG: Final = gettext_noop("""\
With a terminal it is a chat: type, or /help. With input from a pipe each line is said to the room
of --join (or to whom --to names), acknowledged, and then the program ends; so does the word exit
on a line. With --send or --receive files go from peer to peer; a device of the other person that is
not the known one is refused.

The server's certificate and name are always verified.

exit codes:
  0  left in good order; all lines of a pipe were acknowledged; all files have arrived whole, and
     both sides agree on their SHA-256
  1  no connection, no login, lines that were not acknowledged, or files that did not arrive
  2  the certificate of the server was rejected, or the arguments are wrong
""")


_NO_DEVICE_ADVICE: Final = gettext_noop("""\
The key and the known peers are in a folder of yours; --data names another one. A chat needs neither
with --no-peers.
""")


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
    peers: bool
    data: Path | None
    downloads: Path | None
    upnp: bool
    job: SendJob | ReceiveJob | None


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="securechat-client",
        description=_("A chat client: IRC over TLS that always verifies."),
        epilog=_(_EPILOG),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--ca", type=Path, metavar=_("FILE"), help=_("trust this CA, and no other (PEM)"))
    add("--host", default="localhost", help=_("the server (default: %(default)s)"))
    add("--port", type=int, default=DEFAULT_PORT, help=_("its port (default: %(default)s)"))
    add("--nick", default="", help=_("your name in the chat; asked for when missing"))
    add("--account", help=_("log in to this account (default: the nick)"))
    add("--password-file", type=Path, metavar=_("FILE"), help=_("log in with its first line"))
    add("--cert", type=Path, metavar=_("FILE"), help=_("log in with this certificate (PEM)"))
    add("--key", type=Path, metavar=_("FILE"), help=_("its key, if it is not in the same file"))
    add("--realname", default="", help=_("more about you, for all to see"))
    add(
        "--join",
        action="append",
        default=[],
        metavar=_("#ROOM"),
        help=_("enter this room; repeatable"),
    )
    add(
        "--to",
        default="",
        metavar=_("TARGET"),
        help=_("say the lines of a pipe to this room or nick"),
    )
    add("--no-reconnect", action="store_true", help=_("end when the connection is lost"))
    add(
        "--lang", choices=languages(), metavar=_("LANG"), help=_("speak this language: %(choices)s")
    )
    _add_peer_options(parser)
    add(
        "--version",
        action="version",
        version=f"%(prog)s {securechat.__version__}",
        help=_("show program's version number and exit"),
    )
    return parser


def _add_peer_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("peers"))
    add = group.add_argument
    add("--no-peers", action="store_true", help=_("neither be found as a peer nor find others"))
    add(
        "--data",
        type=Path,
        metavar=_("DIR"),
        help=_("this device's key and known peers (default on Linux: ~/.local/share/securechat)"),
    )
    add(
        "--downloads",
        type=Path,
        metavar=_("DIR"),
        help=_("for received files (default: ~/Downloads, or as the desktop says)"),
    )
    add("--upnp", action="store_true", help=_("have the router let peers in"))
    add(
        "--send",
        nargs="+",
        default=[],
        metavar=(_("NICK"), _("FILE")),
        help=_("send files, and end"),
    )
    add("--receive", type=Path, metavar=_("DIR"), help=_("receive files into this folder, and end"))
    add(
        "--from",
        dest="people",
        action="append",
        default=[],
        metavar=_("NICK"),
        help=_("whose files --receive takes; repeatable (default: as /trust NICK files on says)"),
    )
    add("--count", type=int, metavar="N", help=_("how many files --receive waits for (default: 1)"))
    add("--direct", action="store_true", help=_("let that person know our addresses, from now on"))


def read_options(arguments: argparse.Namespace, *, terminal: bool) -> Options:
    """Return the options in ``arguments``. Changes nothing; looks whether the files are there.

    :param terminal: whether there is somebody to ask.
    :raises ConfigError: they do not fit together.
    """
    problems = []
    if not 1 <= arguments.port <= 65535:
        problems.append(_("--port must be from 1 to 65535"))
    if not arguments.host:
        problems.append(_("--host must not be empty"))
    if arguments.key and not arguments.cert:
        problems.append(_("--key needs --cert"))
    if arguments.account and not arguments.password_file and not arguments.cert and not terminal:
        problems.append(_("--account needs --password-file or --cert when input is a pipe"))
    problems += [
        _("--{option} {path}: cannot be read", option=option, path=path)
        for option, path in (("ca", arguments.ca), ("cert", arguments.cert), ("key", arguments.key))
        if path is not None and not os.access(path, os.R_OK)
    ]
    if not terminal and not (arguments.nick or arguments.account):
        problems.append(_("--nick is needed when input is a pipe"))
    files = bool(arguments.send or arguments.receive)
    if not terminal and not files and not (arguments.to or arguments.join):
        problems.append(_("--join or --to is needed when input is a pipe: where do its lines go?"))
    if not terminal and files and not (arguments.password_file or arguments.cert):
        problems.append(_("files need a login: --password-file or --cert when input is a pipe"))
    problems += _file_problems(arguments)
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
        peers=not arguments.no_peers and (terminal or files),
        data=arguments.data,
        downloads=arguments.receive or arguments.downloads,
        upnp=arguments.upnp,
        job=_read_job(arguments),
    )


def _file_problems(arguments: argparse.Namespace) -> list[str]:
    """Return what is wrong with ``--send``, ``--receive`` and what belongs to them."""
    send, receive, people = arguments.send, arguments.receive, arguments.people
    names = [*send[:1], *people]
    checks = (
        (send and receive, _("--send and --receive are two programs")),
        (len(send) == 1, _("--send needs a nick and a file")),
        (any(not name or " " in name for name in names), _("a nick is one word")),
        (
            receive and not os.path.isdir(receive),
            _("--receive {folder}: there is no such folder", folder=receive),
        ),
        (receive and arguments.downloads, _("--receive names the folder, and so does --downloads")),
        (people and not receive, _("--from needs --receive")),
        (arguments.count is not None and not receive, _("--count needs --receive")),
        (arguments.count is not None and arguments.count < 1, _("--count must be 1 or more")),
        (arguments.direct and not send and not people, _("--direct needs --send or --from")),
        (arguments.no_peers and (send or receive), _("files go to peers: not with --no-peers")),
        (arguments.no_peers and arguments.upnp, _("--upnp is for peers: not with --no-peers")),
    )
    problems = [problem for wrong, problem in checks if wrong]
    return problems + [
        f"--send {name}: {problem}" for name in send[1:] if (problem := why_not_sent(Path(name)))
    ]


def _read_job(arguments: argparse.Namespace) -> SendJob | ReceiveJob | None:
    if arguments.send:
        name, *files = arguments.send
        return SendJob(name, tuple(map(Path, files)), arguments.direct)
    if arguments.receive:
        people, count = tuple(arguments.people), arguments.count or 1
        return ReceiveJob(arguments.receive, people, count, arguments.direct)
    return None


def _wanted_language(argv: Sequence[str] | None) -> str:
    """Return the language that ``--lang`` asks for, before there is a parser that speaks it.

    Empty: none, or none that there is, which the parser will refuse.
    """
    early = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    early.add_argument("--lang", nargs="?", default="")
    wanted = early.parse_known_args(argv)[0].lang
    return wanted if wanted in languages() else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return the exit code."""
    choose_language(_wanted_language(argv))
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if sys.stdin is None:  # closed by whoever started us; the annotation does not know of that
        parser.error(_("there is no standard input"))
    terminal = sys.stdin.isatty()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # others write what this locale cannot
    try:
        options = read_options(arguments, terminal=terminal)
        password = _read_password(options.password_file)
        if options.job is not None:
            return _files(options, options.job, password, terminal=terminal)
        return (_chat if terminal else _pipe)(options, password)
    except (ConfigError, LocalProtocolError) as error:
        parser.error(explain(error))
    except (PkiError, StoreError) as error:
        code = _report(error)
        sys.stderr.write(_(_NO_DEVICE_ADVICE))
        return code
    except KeyboardInterrupt:
        return OK if terminal and not (arguments.send or arguments.receive) else FAILED
    except BrokenPipeError:  # nobody reads what we print; nor must the interpreter try at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _chat(options: Options, password: str | None) -> int:
    nick = options.nick or _ask_nick()
    if options.account and password is None and options.certificate is None:
        password = getpass.getpass(_("Password for {account}: ", account=options.account))
    terminal = open_terminal()
    try:
        client = _client(options, nick, password, on_event=terminal.wake, interactive=True)
        ui = LineMode(client, channels=options.channels, clock=datetime.now)
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


def _files(
    options: Options, job: SendJob | ReceiveJob, password: str | None, *, terminal: bool
) -> int:
    nick = options.nick or _ask_nick()
    account = options.account or nick
    if terminal and password is None and options.certificate is None:
        password = getpass.getpass(_("Password for {account}: ", account=account))
    with _client(options, nick, password, on_event=None, interactive=False) as client:
        console = FileConsole(
            Wording(client, datetime.now),
            screen=sys.stdout,
            problems=sys.stderr,
            watched=sys.stderr.isatty(),
        )
        client.start()
        if isinstance(job, SendJob):
            mode: FileMode = SendFiles(client, console, job)
        else:
            mode = ReceiveFiles(client, console, job)
        complete = mode.run()
    return _report(mode.error) or (OK if complete else FAILED)


def _client(
    options: Options,
    nick: str,
    password: str | None,
    *,
    on_event: Callable[[], None] | None,
    interactive: bool,
) -> Client:
    files = options.job is not None
    peers = None
    if options.peers:
        folder = options.data or default_folder()
        downloads = options.downloads or default_downloads()
        peers = PeerSettings(folder, downloads, upnp=options.upnp, refuse_changed=files)
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
        reconnect=options.reconnect and (interactive or files),
        interactive=interactive,
        peers=peers,
        on_event=on_event,
    )


def _report(error: SecureChatError | None) -> int:
    if error is None:
        return OK
    sys.stderr.write(f"securechat-client: {make_safe(explain(error))}\n")
    if isinstance(error, CertificateRejected):
        sys.stderr.write(f"{_(error.advice)}\n")
        return REFUSED
    return FAILED


def _ask_nick() -> str:
    try:
        while True:
            nick = input(_("Your nick: ")).strip()
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
        problem = _("{path}: cannot be read ({reason})", path=path, reason=error)
        raise ConfigError([problem]) from error
