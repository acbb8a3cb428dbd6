"""The program ``securechat-client``."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from securechat.client.assistant.ca_fetch import CaFetch
from securechat.client.client import Client
from securechat.client.events import RelaysAnnounced
from securechat.client.lines.file_console import FileConsole
from securechat.client.lines.file_mode import FileMode, ReceiveFiles, SendFiles, SendJob
from securechat.client.lines.invite_dialog import InviteDialog
from securechat.client.lines.line_mode import LineMode
from securechat.client.lines.pipe_mode import PipeMode
from securechat.client.lines.terminal import is_ansi, open_terminal
from securechat.client.options import Options, build_parser, read_options
from securechat.client.settings.downloads import default_downloads
from securechat.client.settings.invitation import read_invitation
from securechat.client.settings.opening import Opening
from securechat.client.settings.passwords import read_password
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Network, Profiles, default_profiles
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, choose_language, explain, gettext_noop, languages
from securechat.client.words.wording import Wording
from securechat.errors import (
    CertificateRejected,
    ConfigError,
    LocalProtocolError,
    NetworkError,
    PkiError,
    SecureChatError,
    StoreError,
)
from securechat.invite_link import explain_invite_link
from securechat.peer.hub import Settings as PeerSettings
from securechat.peer.identity import default_folder

__all__ = ["main"]

OK: Final = 0
FAILED: Final = 1
REFUSED: Final = 2

_LOG: Final = "client.log"
"""In the folder of the device's key: what the full-screen client must keep off the screen."""

_NO_DEVICE_ADVICE: Final = gettext_noop("""\
The key and the known peers are in a folder of yours; --data names another one. A chat needs neither
with --no-peers.
""")


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
    choose_language(_wanted_language(argv) or _chosen_language())
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
        if options.explain:
            return _explain_invite(options.invite)
        if terminal and options.job is None and _has_screen(options):
            return _screen(options)
        if options.invite:
            return _accept_invite(options)
        opening = _open(options, terminal=terminal)
        if options.job is not None:
            return _files(opening, options, terminal=terminal)
        return (_chat if terminal else _pipe)(opening, options)
    except (ConfigError, LocalProtocolError) as error:
        parser.error(explain(error))
    except NetworkError as error:
        return _report(error)
    except (PkiError, StoreError) as error:
        code = _report(error)
        sys.stderr.write(_(_NO_DEVICE_ADVICE))
        return code
    except KeyboardInterrupt:
        return OK if terminal and not (arguments.send or arguments.receive) else FAILED
    except BrokenPipeError:  # nobody reads what we print; nor must the interpreter try at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _chosen_language() -> str:
    try:
        return _profile_file().load().language
    except ConfigError:  # told when the profiles are needed
        return ""


# ---- which network ----


def _profile_file() -> ProfileFile:
    """Return the user's profiles.

    :raises ConfigError: there is no place for them.
    """
    return ProfileFile(default_profiles())


def _open(options: Options, *, terminal: bool) -> Opening:
    """Return the network to connect to, with its password if that is known or was asked for."""
    name, network = options.network.server, options.network
    if options.profile or (terminal and not options.named):
        found = _profile(options, _profile_file().load())
        if found is not None:
            name, network = found
    if options.password_file is not None:
        return Opening(name, network, _read_password_file(options.password_file))
    source = network.password
    if source is None:
        return Opening(name, network)
    password = read_password(
        source,
        network=network.relay,
        account=network.login,
        ask=lambda text: getpass.getpass(f"{text}: ") if terminal else None,
    )
    return Opening(name, network, password)


def _profile(options: Options, profiles: Profiles) -> tuple[str, Network] | None:
    """Return the profile that is meant; ``None`` if there is none and none was named.

    :raises ConfigError: there is none of that name.
    """
    name = options.profile or profiles.last
    if not name:
        return None
    network = profiles.networks.get(name)
    if network is None:
        problem = _("there is no network {name} in {path}", name=name, path=default_profiles())
        raise ConfigError([problem])
    rooms = dict.fromkeys((*network.rooms, *options.network.rooms))
    return name, replace(network, rooms=tuple(rooms))


# ---- invites ----


def _accept_invite(options: Options) -> int:
    """Follow the invite link line by line, and chat where it leads."""
    file = _profile_file()
    dialog = InviteDialog(file.load().networks, screen=sys.stdout)
    result = dialog.run(options.invite, file.path.parent)
    if result is None:
        return REFUSED if isinstance(dialog.error, CertificateRejected) else FAILED
    try:
        file.save_network(result.network_name, result.network)
        file.set_last(result.network_name)
    except ConfigError as error:  # the account is made: that is no reason not to chat
        _report(error)
    return _chat(Opening(result.network_name, result.network, result.password), options)


def _explain_invite(link: str) -> int:
    """Say how other programs use the invite link, once its CA has been compared."""
    found = read_invitation(link)
    pem = ""
    if found.link.ca is not None:
        fetch = CaFetch(found.address.host, found.address.port, found.link.ca)
        pem = fetch.run().pem.decode()
    sys.stdout.write(explain_invite_link(found.link, pem, translate=_))
    return OK


# ---- the interfaces ----


def _has_screen(options: Options) -> bool:
    """Whether the full-screen client can run here, and is wanted."""
    if options.plain or not sys.stdout.isatty():
        return False
    if os.name == "posix" and not is_ansi(os.environ.get("TERM")):
        return False
    return importlib.util.find_spec("textual") is not None


def _screen(options: Options) -> int:
    # Only here: line mode, pipes and bots do without Textual, which takes its time to load.
    from securechat.client.tui.start import run_screen

    file = _profile_file()
    try:
        profiles = file.load()
    except ConfigError:
        if not options.named:
            raise
        profiles = Profiles()  # only theme and notifications would be of it
    password = _read_password_file(options.password_file)
    openings: list[Opening] = []
    if options.named:
        openings = [Opening(options.network.server, options.network, password)]
    elif not options.invite:
        first = _profile(options, profiles)
        others = profiles.networks.items() if first is not None and not options.profile else ()
        openings = [Opening(*first, password)] if first is not None else []
        openings += [
            Opening(name, network)
            for name, network in others
            if network.autoconnect and name != openings[0].name
        ]

    def make_client(opening: Opening, wake: Callable[[], None]) -> Client:
        return _client(opening, options, on_event=wake, interactive=True, screen=True)

    log = (options.data or default_folder()) / _LOG
    invite = options.invite
    return _report(run_screen(openings, make_client, file, profiles, log, invite=invite))


def _chat(opening: Opening, options: Options) -> int:
    opening = _with_nick(opening)
    terminal = open_terminal()
    try:
        client = _client(opening, options, on_event=terminal.wake, interactive=True)
        ui = LineMode(
            client,
            channels=opening.profile.rooms,
            clock=datetime.now,
            remember=lambda event: _remember(opening, options, event),
        )
        with client:
            client.start()
            try:
                terminal.run(ui)
            finally:
                client.close(ui.farewell)
    finally:
        terminal.close()
    return _report(ui.error)


def _remember(opening: Opening, options: Options, event: RelaysAnnounced) -> None:
    """Keep in its profile what relays a network has, if it has one."""
    if not options.named:
        with contextlib.suppress(ConfigError):  # it is announced again each time
            _profile_file().set_learned(opening.name, event.relays)


def _pipe(opening: Opening, options: Options) -> int:
    rooms = opening.profile.rooms
    target = options.to or next(iter(options.network.rooms or rooms), "")
    if not target:
        raise ConfigError(
            [_("--join or --to is needed when input is a pipe: where do its lines go?")]
        )
    mode = PipeMode(
        sys.stdin.fileno(),
        target,
        joining=target.lower() in map(str.lower, rooms),
        screen=sys.stdout,
        problems=sys.stderr,
        clock=datetime.now,
    )
    with _client(opening, options, on_event=mode.wake, interactive=False) as client:
        client.start()
        complete = mode.run(client)
    return _report(mode.error) or (OK if complete else FAILED)


def _files(opening: Opening, options: Options, *, terminal: bool) -> int:
    opening = _with_nick(opening)
    profile = opening.profile
    account = profile.login
    if terminal and opening.password is None and profile.certificate is None:
        password = getpass.getpass(_("Password for {account}: ", account=account))
        opening = replace(opening, password=password)
    with _client(opening, options, on_event=None, interactive=False) as client:
        console = FileConsole(
            Wording(client, datetime.now),
            screen=sys.stdout,
            problems=sys.stderr,
            watched=sys.stderr.isatty(),
        )
        client.start()
        if isinstance(options.job, SendJob):
            mode: FileMode = SendFiles(client, console, options.job)
        else:
            assert options.job is not None
            mode = ReceiveFiles(client, console, options.job)
        complete = mode.run()
    return _report(mode.error) or (OK if complete else FAILED)


def _client(
    opening: Opening,
    options: Options,
    *,
    on_event: Callable[[], None] | None,
    interactive: bool,
    screen: bool = False,
) -> Client:
    files = options.job is not None
    profile = opening.profile
    peers = None
    if options.peers and profile.peers:
        folder = options.data or default_folder()
        downloads = options.downloads or default_downloads()
        peers = PeerSettings(folder, downloads, upnp=options.upnp, refuse_changed=files)
    return Client(
        profile.host,
        profile.port,
        nick=profile.nick,
        relays=profile.relays,
        srv=profile.srv,
        learned=profile.learned,
        ca=profile.ca,
        account=profile.account or None,
        password=opening.password,
        certificate=profile.certificate,
        key=profile.key,
        realname=profile.realname,
        channels=profile.rooms,
        reconnect=options.reconnect and (interactive or files),
        patient=screen,
        interactive=interactive,
        history=screen,
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


def _with_nick(opening: Opening) -> Opening:
    """Ask for the nick if there is none."""
    if opening.profile.nick:
        return opening
    try:
        while True:
            nick = input(_("Your nick: ")).strip()
            if nick and " " not in nick:
                return replace(opening, profile=replace(opening.profile, nick=nick))
    except EOFError:
        raise KeyboardInterrupt from None


def _read_password_file(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = _("{path}: cannot be read ({reason})", path=path, reason=error)
        raise ConfigError([problem]) from error
