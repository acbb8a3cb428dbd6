"""The slash-commands of peers: sessions, whom to trust, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from securechat.client.commands.table import command
from securechat.client.words.peer_wording import (
    describe_device,
    describe_peer,
    describe_transfer,
    describe_trust,
)
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop
from securechat.errors import LocalProtocolError
from securechat.peer.known_peers import Policy

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat

__all__: list[str] = []

_TRUST: Final = gettext_noop("/trust NICK [WHAT [on|off]]")
_TRUST_DETAILS: Final = (
    gettext_noop("ask, always, never   whether you are asked before each session"),
    gettext_noop(
        "addresses on|off     let them know your addresses: a session is direct only if both of "
        "you do"
    ),
    gettext_noop("files on|off         take their files without a question"),
    gettext_noop(
        "new-device           accept the device that was refused since another one is verified"
    ),
)
_VERIFY: Final = gettext_noop("/verify NICK [yes|no [FINGERPRINT]]")

_ENDED: Final = gettext_noop("{nick} has ended it")
"""The other side reads it too, and may speak another language."""

_ON_OR_OFF: Final = {"on": True, "off": False}
_YES_OR_NO: Final = {"yes": True, "no": False}


def _person(ui: Chat, name: str) -> str:
    """Return ``name``, which must be one that a person can have."""
    if " " in name or ui.client.is_channel(name):
        raise LocalProtocolError(
            "{name}: sessions are with one person, by nick or account", name=name
        )
    return name


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise LocalProtocolError("{text}: there is no such user", text=text) from error


# ---- sessions ----


@command(
    gettext_noop("/peer NICK"),
    gettext_noop("ask somebody for a session, or accept theirs"),
    least=1,
    most=1,
)
def _peer(ui: Chat, arguments: list[str]) -> None:
    name = _person(ui, arguments[0])
    accepted = ui.desk.is_asked_by(name)
    ui.client.peers.open(name)
    if not accepted:
        ui.show_note(_("{nick} is asked for a session", nick=make_safe(name)))


@command(
    gettext_noop("/peers"),
    gettext_noop("show who can be reached as a peer, and the sessions"),
    least=0,
    most=0,
)
def _peers(ui: Chat, arguments: list[str]) -> None:
    found = ui.client.peers.list()
    for peer in found:
        ui.show(describe_peer(peer))
    if not found:
        ui.show(_("nobody can be reached as a peer now"))


@command(
    gettext_noop("/accept [NICK|NUMBER [FOLDER]]"),
    gettext_noop("accept a session or a file; the newest"),
    least=0,
    most=2,
)
def _accept(ui: Chat, arguments: list[str]) -> None:
    folder = _path(arguments[1]) if len(arguments) > 1 else None
    ui.desk.accept(arguments[0] if arguments else "", folder)


@command(
    gettext_noop("/decline [NICK|NUMBER]"),
    gettext_noop("decline a session or a file; the newest"),
    least=0,
    most=1,
)
def _decline(ui: Chat, arguments: list[str]) -> None:
    for line in ui.desk.decline(*arguments):
        ui.show(line)


@command(
    gettext_noop("/close NICK"), gettext_noop("end the session with somebody"), least=1, most=1
)
def _close(ui: Chat, arguments: list[str]) -> None:
    ui.client.peers.close(arguments[0], _ENDED.format(nick=ui.client.nick))


# ---- trust ----


@command(
    _TRUST,
    gettext_noop("show or set what you allow somebody; /help trust tells more"),
    least=1,
    most=3,
    details=_TRUST_DETAILS,
)
def _trust(ui: Chat, arguments: list[str]) -> None:
    name, wish = _person(ui, arguments[0]), arguments[1:]
    peers = ui.client.peers
    match [word.lower() for word in wish]:
        case []:
            trust = peers.trust(name)
        case ["ask" | "always" | "never" as policy]:
            trust = peers.set_trust(name, policy=Policy(policy))
        case ["addresses", "on" | "off" as switch]:
            trust = peers.set_trust(name, show_addresses=_ON_OR_OFF[switch])
        case ["files", "on" | "off" as switch]:
            trust = peers.set_trust(name, take_files=_ON_OR_OFF[switch])
        case ["new-device"]:
            peers.accept_device(name)
            safe = make_safe(name)
            ui.show(_("the new device of {nick} is accepted; /peer {nick}", nick=safe))
            return
        case _:
            raise LocalProtocolError(
                "usage: {usage}; /help trust tells what there is", usage=_(_TRUST)
            )
    for line in describe_trust(name, trust):
        ui.show(line)


@command(
    _VERIFY,
    gettext_noop("show the safety code to be compared, or say that it was"),
    least=1,
    most=3,
)
def _verify(ui: Chat, arguments: list[str]) -> None:
    name, answer = _person(ui, arguments[0]), arguments[1:]
    if not answer:
        _show_codes(ui, name)
        return
    verified = _YES_OR_NO.get(answer[0].lower())
    if verified is None:
        raise LocalProtocolError("usage: {usage}", usage=_(_VERIFY))
    fingerprint = answer[1].lower() if len(answer) > 1 else ""
    found = ui.client.peers.verify(name, fingerprint, verified=verified)
    ui.show(describe_device(name, found)[0].removesuffix(":"))


def _show_codes(ui: Chat, name: str) -> None:
    devices = ui.client.peers.devices(name)
    safe = make_safe(name)
    if not devices:
        words = _(
            "no device of {nick} is known yet; one is after the first session: /peer {nick}",
            nick=safe,
        )
        ui.show(words)
        return
    shown = [device for device in devices if device.in_session] or devices
    for device in shown:
        for line in describe_device(name, device):
            ui.show(line)
    compare = _(
        "{nick} must see the same digits on /verify: compare all, by voice or side by side.",
        nick=safe,
    )
    ui.show(compare)
    if len(shown) == 1:
        then = _(
            "If they are the same, /verify {nick} yes; if not, somebody is in between.", nick=safe
        )
    else:
        then = _(
            "If they are the same, /verify {nick} yes FINGERPRINT; if not, somebody is in between.",
            nick=safe,
        )
    ui.show(then)


# ---- files ----


@command(
    gettext_noop("/send NICK FILE"),
    gettext_noop("offer a file, in a session that is asked for"),
    least=2,
    most=2,
)
def _send(ui: Chat, arguments: list[str]) -> None:
    name, path = _person(ui, arguments[0]), _path(arguments[1])
    if not ui.desk.send(name, path):
        note = _(
            "{nick} is asked for a session; {file} is offered when it is open",
            nick=make_safe(name),
            file=make_safe(path.name),
        )
        ui.show_note(note)


@command(
    gettext_noop("/files"),
    gettext_noop("show the files that are offered or on their way"),
    least=0,
    most=0,
)
def _files(ui: Chat, arguments: list[str]) -> None:
    found = ui.client.peers.transfers()
    for transfer in found:
        ui.show(describe_transfer(transfer))
    if not found:
        ui.show(_("no file is on its way"))


@command(
    gettext_noop("/cancel NUMBER"), gettext_noop("end a file that is on its way"), least=1, most=1
)
def _cancel(ui: Chat, arguments: list[str]) -> None:
    number = arguments[0]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise LocalProtocolError("usage: /cancel NUMBER; /files shows the numbers")
    ui.client.peers.cancel_file(int(number))
