"""The command line of ``securechat-client``: what can be said there, and what it means."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import securechat
from securechat.client.chat.peer_desk import why_not_sent
from securechat.client.lines.file_mode import ReceiveJob, SendJob
from securechat.client.relays import DEFAULT_PORT, RelayAddress, check_host, parse_relay
from securechat.client.settings.invitation import read_invitation
from securechat.client.settings.profiles import Network, PasswordSource
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain, gettext_noop, languages
from securechat.errors import ConfigError, InviteLinkError
from securechat.invite_link import is_invite_link

__all__ = ["Options", "build_parser", "read_options"]

_HOST: Final = "localhost"

_EPILOG: Final = gettext_noop("""\
With a terminal it is a chat: type, or /help. With input from a pipe each line is said to the room
of --join (or to whom --to names), acknowledged, and then the program ends; so does the word exit
on a line. With --send or --receive files go from peer to peer; a device of the other person that is
not the known one is refused.

An invite link, in quotation marks, is all that is needed the first time: it says where the chat is,
and whom to trust. From then on securechat-client alone is enough.

A chat may have several relays: with --host a.example.org --host b.example.org:6700 the next one is
tried when there is no way in, and when one is lost. What a relay announces of others is remembered
in the profile. All of them must show a certificate of the same CA.

The server's certificate and name are always verified.

exit codes:
  0  left in good order; all lines of a pipe were acknowledged; all files have arrived whole, and
     both sides agree on their SHA-256
  1  no connection, no login, lines that were not acknowledged, or files that did not arrive
  2  the certificate of the server was rejected, or the arguments are wrong
""")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Immutable.

    ``network`` is where to connect, and as whom; ``named``: that was said at least in part, so that
    no profile is asked for. ``profile`` names one. ``invite`` is an invite link, or empty;
    ``explain``: it is only to be said how other programs use it.
    """

    invite: str
    explain: bool
    network: Network
    named: bool
    profile: str
    password_file: Path | None
    plain: bool
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
    add("invite", nargs="?", default="", metavar=_("LINK"), help=_("the invite link you have got"))
    add("--explain", action="store_true", help=_("say how other programs use the invite link"))
    add("--ca", type=Path, metavar=_("FILE"), help=_("trust this CA, and no other (PEM)"))
    add(
        "--host",
        action="append",
        default=[],
        metavar=_("HOST[:PORT]"),
        help=_(
            "the server (default: localhost); repeatable: further relays of the same chat, tried "
            "in this order"
        ),
    )
    add("--port", type=int, help=_("its port, where --host says none (default: 6697)"))
    add(
        "--srv",
        metavar=_("DOMAIN"),
        help=_("look up the relays of this domain in the DNS (_ircs._tcp); needs --ca"),
    )
    add("--nick", help=_("your name in the chat; asked for when missing"))
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
    add(
        "--network",
        default="",
        metavar=_("NAME"),
        help=_("the network of that name in your profiles"),
    )
    add("--plain", action="store_true", help=_("lines instead of the full screen"))
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
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        problems.append(_("--port must be from 1 to 65535"))
    problems += _place_problems(arguments)
    if arguments.key and not arguments.cert:
        problems.append(_("--key needs --cert"))
    if arguments.account and not arguments.password_file and not arguments.cert and not terminal:
        problems.append(_("--account needs --password-file or --cert when input is a pipe"))
    problems += [
        _("--{option} {path}: cannot be read", option=option, path=path)
        for option, path in (("ca", arguments.ca), ("cert", arguments.cert), ("key", arguments.key))
        if path is not None and not os.access(path, os.R_OK)
    ]
    profile = arguments.network
    if profile and _names_a_network(arguments):
        problems.append(_("--network says where and as whom: no other option may"))
    if not terminal and not (arguments.nick or arguments.account or profile):
        problems.append(_("--nick is needed when input is a pipe"))
    files = bool(arguments.send or arguments.receive)
    if not terminal and not files and not (arguments.to or arguments.join or profile):
        problems.append(_("--join or --to is needed when input is a pipe: where do its lines go?"))
    if not terminal and files and not (arguments.password_file or arguments.cert or profile):
        problems.append(_("files need a login: --password-file or --cert when input is a pipe"))
    problems += _file_problems(arguments)
    if arguments.invite or arguments.explain or any(map(is_invite_link, arguments.host)):
        problems = _invite_problems(arguments, terminal=terminal)
    if problems:
        raise ConfigError(problems)
    return Options(
        invite=arguments.invite,
        explain=arguments.explain,
        network=_network(arguments),
        named=_names_a_network(arguments),
        profile=arguments.network,
        password_file=arguments.password_file,
        plain=arguments.plain,
        to=arguments.to,
        reconnect=not arguments.no_reconnect,
        peers=not arguments.no_peers and (terminal or files),
        data=arguments.data,
        downloads=arguments.receive or arguments.downloads,
        upnp=arguments.upnp,
        job=_read_job(arguments),
    )


def _names_a_network(arguments: argparse.Namespace) -> bool:
    says = (arguments.port, arguments.ca, arguments.nick, arguments.account, arguments.srv)
    return any(value is not None for value in says) or bool(arguments.host or arguments.cert)


def _place_problems(arguments: argparse.Namespace) -> list[str]:
    """Return what is wrong with ``--host`` and ``--srv``."""
    problems = []
    if "" in arguments.host:
        problems.append(_("--host must not be empty"))
    for text in filter(None, arguments.host):
        try:
            _relay(text, DEFAULT_PORT)
        except ConfigError as error:
            problems.append(f"--host {make_safe(text)}: {explain(error)}")
    if arguments.srv is None:
        return problems
    try:
        check_host(arguments.srv)
    except ConfigError as error:
        problems.append(f"--srv {make_safe(arguments.srv)}: {explain(error)}")
    if arguments.ca is None:
        problems.append(
            _("--srv needs --ca: what the DNS says is only safe with a CA of the chat's own")
        )
    return problems


def _relay(text: str, port: int) -> RelayAddress:
    # An IPv6 address without a port may do without brackets, too.
    return parse_relay(f"[{text}]" if text.count(":") > 1 and "[" not in text else text, port)


def _network(arguments: argparse.Namespace) -> Network:
    account = arguments.account or ""
    asked = account and not arguments.password_file and not arguments.cert
    port = arguments.port if arguments.port is not None else DEFAULT_PORT
    names = arguments.host or ([] if arguments.srv else [_HOST])
    relays = [_relay(name, port) for name in names]
    return Network(
        host=relays[0].host if relays else "",
        nick=arguments.nick or account,
        port=relays[0].port if relays else port,
        relays=tuple(relays[1:]),
        srv=arguments.srv or "",
        ca=arguments.ca,
        account=account,
        realname=arguments.realname,
        password=PasswordSource("prompt") if asked else None,
        certificate=arguments.cert,
        key=arguments.key,
        rooms=tuple(arguments.join),
    )


def _invite_problems(arguments: argparse.Namespace, *, terminal: bool) -> list[str]:
    """Return what is wrong with the invite link, and what is said beside it."""
    if not arguments.invite:
        return [_("an invite link is given by itself: securechat-client 'securechat://…'")]
    if not is_invite_link(arguments.invite):
        text = make_safe(arguments.invite)
        return [_("{text}: not an invite link, which begins with securechat://", text=text)]
    problems = []
    try:
        read_invitation(arguments.invite)
    except (ConfigError, InviteLinkError) as error:
        problems.append(explain(error))
    more = (arguments.network, arguments.password_file, arguments.join, arguments.to)
    if _names_a_network(arguments) or any(more) or arguments.send or arguments.receive:
        problems.append(_("the invite link says where and as whom: no other option may"))
    if not terminal and not arguments.explain:
        problems.append(
            _("an invite link needs a terminal: there are questions to be answered by a person")
        )
    return problems


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
