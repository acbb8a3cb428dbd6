"""``invite``, ``invites list``, ``invites withdraw``: letting people in by a link."""

from __future__ import annotations

import argparse
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from cryptography import x509

from securechat.errors import ConfigError, PkiError, SecureChatError
from securechat.invite_link import (
    InviteLink,
    explain_invite_link,
    format_invite_link,
    parse_invite_link,
)
from securechat.pki import ca_hash, hosts_of, is_for, load_certificate, parse_host
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import columns, moment, say, say_json, warn
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.authority import find_authority
from securechat.server.config import Config
from securechat.server.config_checks import is_loopback
from securechat.server.names import make_names
from securechat.store.accounts import Accounts
from securechat.store.invites import Invite, Invites

__all__ = ["TOOLS", "first_invite"]

_log = logging.getLogger(__name__)

_TOKEN_BYTES: Final = 16
"""Randomness in a token: nobody guesses 128 bits over a network."""

_USES_MOST: Final = 1_000_000
_DAYS_MOST: Final = 36_500.0

_FIRST_DAYS: Final = 7.0
"""How long the first invite of a relay is good: whoever sets it up uses it the same day."""

_QR_EXTRA: Final = 'pip install "securechat[qr]"'


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What kind of invite somebody wants; empty and 0 stand for "as it fits"."""

    uses: int = 1
    days: float = _FIRST_DAYS
    account: str = ""
    room: str = ""
    host: str = ""
    port: int = 0


def first_invite(desk: Desk) -> str | None:
    """Return a new invite link if nobody can get in without one, and nobody has one; else ``None``.

    It registers one account. Where no link can be made, the log says why. Blocks.
    """
    now = desk.now().timestamp()

    def is_needed(accounts: Accounts, invites: Invites) -> bool:
        return not accounts.names() and not any(each.usable(now) for each in invites.load())

    if desk.config.accounts.registration != "invite":
        return None
    try:
        if not desk.write(lambda c: is_needed(Accounts(c), Invites(c))):
            return None
        return str(_make(desk, _Wanted())["link"])
    except SecureChatError as error:
        _log.warning("no invite was made for the first person: %s", error)
        return None


# ---- invite ----


def _configure_invite(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--account", default="", metavar="NAME", help="the only account that it registers")
    add("--uses", type=int, default=1, metavar="N", help="accounts that it registers (default: 1)")
    add("--days", type=float, default=7.0, metavar="D", help="until it ends (default: 7)")
    add("--host", default="", help="where the relay is, as others call it")
    add("--port", type=int, default=0, metavar="N", help="its port, as others get to it")
    add("--room", default="", metavar="'#ROOM'", help="where to go first; +i is no obstacle once")
    add("--qr", action="store_true", help="show the link as a QR code too")
    add("--explain", action="store_true", help="show how WeeChat and irssi are used with it too")
    add("--json", action="store_true", help="for programs")


def _prepare_invite(options: argparse.Namespace, config: Config) -> Arguments:
    if options.qr and find_spec("segno") is None:
        raise ConfigError([f"--qr needs the package segno: {_QR_EXTRA}"])
    names = ("account", "uses", "days", "host", "port", "room")
    return {name: getattr(options, name) for name in names}


def _invite(desk: Desk, arguments: Arguments) -> Mapping[str, Any]:
    return _make(desk, _wanted(desk, arguments))


def _wanted(desk: Desk, arguments: Arguments) -> _Wanted:
    """Return what the arguments ask for.

    :raises ConfigError: they ask for what cannot be.
    """
    wanted = _Wanted(
        int(arguments["uses"]),
        float(arguments["days"]),
        str(arguments["account"]),
        str(arguments["room"]),
        str(arguments["host"]),
        int(arguments["port"]),
    )
    names, limits = make_names(desk.config.server.casemapping), desk.config.limits
    problems = []
    if not 1 <= wanted.uses <= _USES_MOST:
        problems.append(f"--uses must be from 1 to {_USES_MOST:,}")
    if not 0 < wanted.days <= _DAYS_MOST:
        problems.append(f"--days must be above 0 and at most {_DAYS_MOST:,.0f}")
    if not 0 <= wanted.port <= 65_535:
        problems.append("--port must be from 1 to 65,535")
    if wanted.account and not names.is_nick(wanted.account, limits.nick_length):
        problems.append(f"--account {wanted.account}: this cannot be an account's name")
    if wanted.room and not names.is_channel_name(wanted.room, limits.channel_length):
        problems.append(f"--room {wanted.room}: this cannot be a room's name")
    if problems:
        raise ConfigError(problems)
    return wanted


def _make(desk: Desk, wanted: _Wanted) -> Mapping[str, Any]:
    """Make an invite; return all there is to say of it."""
    if desk.config.accounts.registration == "closed":
        raise SecureChatError('nobody can be invited: [accounts] registration is "closed"')
    host, warnings = _find_host(desk, wanted.host)
    port = wanted.port or _find_port(desk)
    authority = find_authority(desk.config.tls.certificate)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = desk.now().timestamp()
    key = desk.fold(wanted.account)

    def create(accounts: Accounts, invites: Invites) -> Invite:
        if wanted.account and accounts.get(key) is not None:
            raise SecureChatError("there is an account {name} already", name=wanted.account)
        return invites.create(
            token,
            uses=wanted.uses,
            expires_at=now + wanted.days * 86_400,
            created_at=now,
            account=wanted.account,
            room=wanted.room,
        )

    made = desk.write(lambda c: create(Accounts(c), Invites(c)))
    link = InviteLink(host, port, token, _hash(authority), wanted.room, wanted.account)
    return {
        "link": format_invite_link(link),
        **_fields(made, now),
        "ca": None if authority is None else authority.decode(),
        "warnings": warnings,
    }


def _hash(authority: bytes | None) -> bytes | None:
    if authority is None:
        return None
    return ca_hash(x509.load_pem_x509_certificate(authority))


def _find_host(desk: Desk, given: str) -> tuple[str, list[str]]:
    """Return what the link calls the relay, and what a person should know of that."""
    known = hosts_of(load_certificate(desk.config.tls.certificate))
    if given:
        host = _parse_host(given)
        if is_for(known, host):
            return host, []
        others = ", ".join(known)
        warning = f"clients will refuse {host}: the relay's certificate is for {others}"
        return host, [warning]
    listen = desk.relay.addresses if desk.relay is not None else desk.config.server.listen
    if all(is_loopback(host) for host, _ in listen):
        return "localhost", ["the relay listens on this machine only, and so the link is for it"]
    for host in known:
        if not is_loopback(host) and "*" not in host:
            return host, []
    raise ConfigError(
        ["say by --host how others call the relay: its certificate names no host but this machine"]
    )


def _parse_host(given: str) -> str:
    try:
        return str(parse_host(given).value)
    except PkiError as error:
        raise ConfigError([f"--host: {error}"]) from error


def _find_port(desk: Desk) -> int:
    listen = desk.relay.addresses if desk.relay is not None else desk.config.server.listen
    port = listen[0][1]
    if not port:
        raise ConfigError(["say by --port where others get to the relay: it takes any free one"])
    return port


def _show_invite(result: Any, options: argparse.Namespace) -> int:
    for warning in result["warnings"]:
        warn(warning)
    if options.json:
        say_json(result)
        return 0
    say(f"  {result['link']}\n")
    if options.qr:
        import_module("segno").make(result["link"], micro=False).terminal(compact=True)
    say(f"It registers {_what(result)}, until {moment(result['expires_at'])}.")
    say("Who gets it opens it with: securechat-client 'LINK'")
    if options.explain:
        say()
        say(explain_invite_link(parse_invite_link(result["link"]), result["ca"] or ""))
    return 0


def _what(invite: Mapping[str, Any]) -> str:
    if invite["account"]:
        return f"the account {invite['account']}"
    return "one account" if invite["uses"] == 1 else f"{invite['uses']:,} accounts"


# ---- invites ----


def _fields(invite: Invite, now: float) -> dict[str, Any]:
    return {
        "id": invite.id,
        "uses_left": invite.uses_left,
        "uses": invite.uses,
        "created_at": invite.created_at,
        "expires_at": invite.expires_at,
        "account": invite.account,
        "room": invite.room,
        "usable": invite.usable(now),
    }


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="those that ended or are used up too")
    parser.add_argument("--json", action="store_true", help="for programs")


def _list(desk: Desk, arguments: Arguments) -> list[dict[str, Any]]:
    now = desk.now().timestamp()
    with desk.reading() as connection:
        found = [_fields(invite, now) for invite in Invites(connection).load()]
    return [fields for fields in found if fields["usable"] or arguments["all"]]


def _show_list(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
        return 0
    if not result:
        say("There are no invites" if options.all else "There are no invites that open anything")
        return 0
    head = ("ID", "LEFT", "ENDS", "ACCOUNT", "ROOM")
    rows = [
        (
            each["id"],
            f"{each['uses_left']}/{each['uses']}",
            moment(each["expires_at"]),
            each["account"] or "any",
            each["room"] or "-",
        )
        for each in result
    ]
    for line in columns([head, *rows]):
        say(line)
    return 0


def _configure_withdraw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as shown by: invites list")


def _withdraw(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    now = desk.now().timestamp()
    return _fields(desk.write(lambda c: Invites(c).withdraw(str(arguments["id"]))), now)


def _show_withdrawn(result: Any, options: argparse.Namespace) -> int:
    say(f"The invite {result['id']} opens nothing any more")
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "invite",
        "make an invite link, by which people register an account",
        _invite,
        _show_invite,
        _configure_invite,
        _prepare_invite,
    ),
    Tool(
        "invites list",
        "show which invites there are",
        _list,
        _show_list,
        _configure_list,
        lambda options, config: {"all": options.all},
        changes=False,
    ),
    Tool(
        "invites withdraw",
        "let an invite open nothing any more",
        _withdraw,
        _show_withdrawn,
        _configure_withdraw,
        lambda options, config: {"id": options.id},
    ),
)
"""The tools of this group."""
