"""``bans list``, ``bans lift``: whom operators keep out, seen and ended from outside of the chat.

Where a relay runs its chat knows the bans, and keeps what is changed; else the store does.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

from securechat.errors import SecureChatError, StoreError
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import columns, moment, say, say_json
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.ban_words import BadBan, normalise_ban_mask
from securechat.server.bans import Ban
from securechat.server.event_log import propose_for_relay
from securechat.server.events import BanKind, RemoveBan
from securechat.server.refusals import Fail
from securechat.store.bans import Bans

__all__ = ["TOOLS"]

_KINDS: Final[tuple[BanKind, ...]] = ("D", "K")

_BY: Final = "the administrator"
"""Who ends a ban from here, as operators in the chat are told."""


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def _list(desk: Desk, arguments: Arguments) -> list[dict[str, Any]]:
    return [
        {
            "kind": ban.kind,
            "mask": ban.mask,
            "reason": ban.reason,
            "by": ban.by,
            "set_at": ban.set_ms / 1000,
            "ends_at": None if ban.expires_ms is None else ban.expires_ms / 1000,
        }
        for ban in _in_force(desk)
    ]


def _in_force(desk: Desk) -> list[Ban]:
    if desk.relay is not None:
        services = desk.relay.services
        with services.lock:
            bans, now_ms = services.network.bans, services.now_ms()
            return [ban for kind in _KINDS for ban in bans.in_force(kind, now_ms)]
    with desk.reading() as connection:
        records = Bans(connection).load()
    now_ms = desk.now_ms()
    found = [
        Ban(kind, each.mask, each.reason, each.set_by, each.set_ms, each.expires_ms)
        for kind in _KINDS
        for each in records
        if each.kind == kind
    ]
    return [ban for ban in found if ban.in_force(now_ms)]


def _show_list(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
        return 0
    if not result:
        say("Nobody is banned")
        return 0
    rows = [
        (
            each["mask"],
            moment(each["ends_at"]),
            each["by"],
            moment(each["set_at"]),
            each["reason"],
        )
        for each in result
    ]
    for line in columns([("MASK", "ENDS", "BY", "SET", "REASON"), *rows]):
        say(line)
    return 0


def _configure_lift(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mask", metavar="MASK", help="as shown by: bans list")


def _lift(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    ban = _find(desk, str(arguments["mask"]))
    if desk.relay is None:
        desk.write(lambda c: Bans(c).delete(ban.kind, desk.fold(ban.mask)))
    else:
        trouble = desk.relay.services.store.trouble
        if trouble:
            raise StoreError("nothing can be kept at the moment: {trouble}", trouble=trouble)
        try:
            propose_for_relay(
                desk.relay.services, lambda stamp: RemoveBan(stamp, ban.kind, ban.mask, _BY)
            )
        except Fail as fail:  # it has ended meanwhile
            raise SecureChatError("{reason}", reason=fail.params[-1]) from fail
        desk.write(lambda connection: None)  # it is written now
    return {"mask": ban.mask}


def _find(desk: Desk, given: str) -> Ban:
    wanted = {(kind, desk.fold(_normalise(kind, given))) for kind in _KINDS}
    for ban in _in_force(desk):
        if (ban.kind, desk.fold(ban.mask)) in wanted:
            return ban
    raise SecureChatError("there is no ban of {mask}", mask=given)


def _normalise(kind: BanKind, text: str) -> str:
    try:
        return normalise_ban_mask(kind, text)
    except BadBan:
        return text


def _show_lifted(result: Any, options: argparse.Namespace) -> int:
    say(f"{result['mask']} is not banned any more")
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "bans list",
        "show whom operators keep out",
        _list,
        _show_list,
        _configure_list,
        changes=False,
    ),
    Tool(
        "bans lift",
        "end a ban",
        _lift,
        _show_lifted,
        _configure_lift,
        lambda options, config: {"mask": options.mask},
    ),
)
"""The tools of this group."""
