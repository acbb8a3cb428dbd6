"""The slash-commands of peers: sessions, whom to trust, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from securechat.client.command_table import command
from securechat.client.peer_wording import (
    describe_device,
    describe_peer,
    describe_transfer,
    describe_trust,
)
from securechat.client.safe_text import make_safe
from securechat.errors import LocalProtocolError
from securechat.peer.known_peers import Policy

if TYPE_CHECKING:
    from securechat.client.line_mode import LineMode

__all__: list[str] = []

_TRUST: Final = "/trust NICK [WHAT [on|off]]"
_TRUST_DETAILS: Final = (
    "ask, always, never   whether you are asked before each session",
    "addresses on|off     let them know your addresses: a session is direct only if both of you do",
    "files on|off         take their files without a question",
    "new-device           accept the device that was refused since another one is verified",
)
_VERIFY: Final = "/verify NICK [yes|no [FINGERPRINT]]"

_ON_OR_OFF: Final = {"on": True, "off": False}
_YES_OR_NO: Final = {"yes": True, "no": False}


def _person(ui: LineMode, name: str) -> str:
    """Return ``name``, which must be one that a person can have."""
    if " " in name or ui.client.is_channel(name):
        raise LocalProtocolError(f"{name}: sessions are with one person, by nick or account")
    return name


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise LocalProtocolError(f"{text}: there is no such user") from error


# ---- sessions ----


@command("/peer NICK", "ask somebody for a session, or accept theirs", least=1, most=1)
def _peer(ui: LineMode, arguments: list[str]) -> None:
    name = _person(ui, arguments[0])
    accepted = ui.desk.is_asked_by(name)
    ui.client.peers.open(name)
    if not accepted:
        ui.show_note(f"{make_safe(name)} is asked for a session")


@command("/peers", "show who can be reached as a peer, and the sessions", least=0, most=0)
def _peers(ui: LineMode, arguments: list[str]) -> None:
    found = ui.client.peers.list()
    for peer in found:
        ui.show(describe_peer(peer))
    if not found:
        ui.show("nobody can be reached as a peer now")


@command(
    "/accept [NICK|NUMBER [FOLDER]]", "accept a session or a file; the newest", least=0, most=2
)
def _accept(ui: LineMode, arguments: list[str]) -> None:
    folder = _path(arguments[1]) if len(arguments) > 1 else None
    ui.desk.accept(arguments[0] if arguments else "", folder)


@command("/decline [NICK|NUMBER]", "decline a session or a file; the newest", least=0, most=1)
def _decline(ui: LineMode, arguments: list[str]) -> None:
    for line in ui.desk.decline(*arguments):
        ui.show(line)


@command("/close NICK", "end the session with somebody", least=1, most=1)
def _close(ui: LineMode, arguments: list[str]) -> None:
    ui.client.peers.close(arguments[0], f"{ui.client.nick} has ended it")


# ---- trust ----


@command(
    _TRUST,
    "show or set what you allow somebody; /help trust tells more",
    least=1,
    most=3,
    details=_TRUST_DETAILS,
)
def _trust(ui: LineMode, arguments: list[str]) -> None:
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
            ui.show(f"the new device of {make_safe(name)} is accepted; /peer {make_safe(name)}")
            return
        case _:
            raise LocalProtocolError(f"usage: {_TRUST}; /help trust tells what there is")
    for line in describe_trust(name, trust):
        ui.show(line)


@command(_VERIFY, "show the safety code to be compared, or say that it was", least=1, most=3)
def _verify(ui: LineMode, arguments: list[str]) -> None:
    name, answer = _person(ui, arguments[0]), arguments[1:]
    if not answer:
        _show_codes(ui, name)
        return
    verified = _YES_OR_NO.get(answer[0].lower())
    if verified is None:
        raise LocalProtocolError(f"usage: {_VERIFY}")
    fingerprint = answer[1].lower() if len(answer) > 1 else ""
    found = ui.client.peers.verify(name, fingerprint, verified=verified)
    ui.show(describe_device(name, found)[0].removesuffix(":"))


def _show_codes(ui: LineMode, name: str) -> None:
    devices = ui.client.peers.devices(name)
    safe = make_safe(name)
    if not devices:
        ui.show(f"no device of {safe} is known yet; one is after the first session: /peer {safe}")
        return
    shown = [device for device in devices if device.in_session] or devices
    for device in shown:
        for line in describe_device(name, device):
            ui.show(line)
    which = "" if len(shown) == 1 else " FINGERPRINT"
    ui.show(f"{safe} must see the same digits on /verify: compare all, by voice or side by side.")
    ui.show(f"If they are the same, /verify {safe} yes{which}; if not, somebody is in between.")


# ---- files ----


@command("/send NICK FILE", "offer a file, in a session that is asked for", least=2, most=2)
def _send(ui: LineMode, arguments: list[str]) -> None:
    name, path = _person(ui, arguments[0]), _path(arguments[1])
    if not ui.desk.send(name, path):
        what, who = make_safe(path.name), make_safe(name)
        ui.show_note(f"{who} is asked for a session; {what} is offered when it is open")


@command("/files", "show the files that are offered or on their way", least=0, most=0)
def _files(ui: LineMode, arguments: list[str]) -> None:
    found = ui.client.peers.transfers()
    for transfer in found:
        ui.show(describe_transfer(transfer))
    if not found:
        ui.show("no file is on its way")


@command("/cancel NUMBER", "end a file that is on its way", least=1, most=1)
def _cancel(ui: LineMode, arguments: list[str]) -> None:
    number = arguments[0]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise LocalProtocolError("usage: /cancel NUMBER; /files shows the numbers")
    ui.client.peers.cancel_file(int(number))
