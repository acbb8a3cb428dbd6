"""What the entries of a buffer say beside the words of people: states, presences, files.

All that comes from others is safe in an entry already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from securechat.client.chat.buffers import Entry, FileState, Presence
from securechat.client.tui.wrapping import fit
from securechat.client.words.peer_wording import size
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, ngettext

__all__ = ["deleted_words", "file_words", "presence_words", "reactions_words", "state_words"]

NAMES_LIMIT: Final = 5
"""Most people named of those who did the same; the others are counted."""

REACTION_WIDTH: Final = 20
"""Cells of a reaction that are shown; longer ones are texts, and better sent as such."""

_BAR_CELLS: Final = 10


def state_words(entry: Entry) -> str:
    """Return what became of a text of our own; empty if it is there."""
    match entry.state:
        case "sent":
            return "…"
        case "waiting":
            return _("⏳ waiting for the connection")
        case "unsure":
            return _("⚠ not known whether it arrived: choose it to send it again")
        case "refused" if entry.reason:
            return _("✗ not sent: {reason}", reason=entry.reason)
        case "refused":
            return _("✗ not sent")
        case _:
            return ""


def deleted_words(entry: Entry) -> str:
    """Return who has deleted a text, and why."""
    if entry.reason:
        return _("message deleted by {nick}: {reason}", nick=entry.redacted_by, reason=entry.reason)
    return _("message deleted by {nick}", nick=entry.redacted_by)


def reactions_words(entry: Entry, own_nick: str) -> list[tuple[str, bool]]:
    """Return each reaction with how many there are, and who; and whether we are among them."""
    found = []
    for reaction, nicks in (entry.reactions or {}).items():
        own = own_nick in nicks
        names = [_("you")] * own + [nick for nick in nicks if nick != own_nick]
        found.append((f"{fit(reaction, REACTION_WIDTH)} {len(nicks)} ({_named(names)})", own))
    return found


def presence_words(entry: Entry) -> str:
    """Return who came, went or is called otherwise, and how many people there are now."""
    groups: dict[str, list[Presence]] = {}
    for presence in entry.presences or []:
        groups.setdefault(presence.change, []).append(presence)
    words = " · ".join(
        (_one(group[0]) if len(group) == 1 else "") or _many(group) for group in groups.values()
    )
    if entry.people is None:
        return words
    return f"{words} {ngettext('({count} person)', '({count} people)', entry.people)}"


def file_words(file: FileState) -> str:
    """Return what file it is, and how far."""
    whole, reason = size(file.size), make_safe(file.reason)
    match file.state, file.outgoing:
        case "offered", True:
            return _("{name} ({size}) is offered, no answer yet", name=file.name, size=whole)
        case "offered", False:
            return _(
                "file {number} is offered: {name} ({size}); /accept {number} or /decline {number}",
                number=file.transfer,
                name=file.name,
                size=whole,
            )
        case "moving", True:
            return _("sending {name} ({size})", name=file.name, size=whole) + _progress(file)
        case "moving", False:
            return _("receiving {name} ({size})", name=file.name, size=whole) + _progress(file)
        case "finished", False if file.path is not None:
            path = make_safe(str(file.path))
            return _("{name} ({size}) has arrived: {path}", name=file.name, size=whole, path=path)
        case "finished", _outgoing:
            return _("{name} ({size}) has arrived", name=file.name, size=whole)
        case _state, True:
            return _("{name} was not sent: {reason}", name=file.name, reason=reason)
        case _:
            return _("{name} was not received: {reason}", name=file.name, reason=reason)


def _progress(file: FileState) -> str:
    done = min(file.done_bytes / file.size, 1.0) if file.size else 1.0
    filled = int(done * _BAR_CELLS)
    bar = f"[{'#' * filled}{'-' * (_BAR_CELLS - filled)}]"
    rate = f"{size(file.rate_bytes_per_s)}/s"
    words = f"\n{bar} {int(done * 100)} %"
    if file.left_s is None:
        return f"{words}  {_('nothing moves')}"
    return f"{words}  {rate}  {_left(file.left_s)}"


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _("{seconds} s left", seconds=rest)
    if minutes < 60:
        return _("{minutes} min left", minutes=minutes)
    return _("{hours} h {minutes} min left", hours=minutes // 60, minutes=minutes % 60)


def _one(presence: Presence) -> str:
    """Return what one person did; empty when there is no more to say than of many."""
    nick, detail = presence.nick, presence.detail
    if not detail:
        return ""
    match presence.change:
        case "left":
            return _("← {nick} left: {reason}", nick=nick, reason=detail)
        case "quit":
            return _("← {nick} quit: {reason}", nick=nick, reason=detail)
        case "kicked":
            return _("← {nick} was thrown out: {reason}", nick=nick, reason=detail)
        case "away":
            return _("{nick} is away: {message}", nick=nick, message=detail)
        case _:
            return ""


def _many(group: Sequence[Presence]) -> str:
    """Return what all of the group did."""
    if group[0].change == "renamed":
        return _renamed(group)
    # In the order of the first time: somebody may come and go more than once.
    nicks = list(dict.fromkeys(presence.nick for presence in group))
    count, names = len(nicks), _named(nicks)
    match group[0].change:
        case "joined":
            return ngettext("→ {nicks} joined", "→ {nicks} joined", count, nicks=names)
        case "left":
            return ngettext("← {nicks} left", "← {nicks} left", count, nicks=names)
        case "quit":
            return ngettext("← {nicks} quit", "← {nicks} quit", count, nicks=names)
        case "kicked":
            return ngettext(
                "← {nicks} was thrown out", "← {nicks} were thrown out", count, nicks=names
            )
        case "away":
            return ngettext("{nicks} is away", "{nicks} are away", count, nicks=names)
        case _:
            return ngettext("{nicks} is back", "{nicks} are back", count, nicks=names)


def _renamed(group: Sequence[Presence]) -> str:
    words = [
        _("{old} is now {new}", old=presence.nick, new=presence.detail)
        for presence in group[:NAMES_LIMIT]
    ]
    if len(group) > NAMES_LIMIT:
        more = len(group) - NAMES_LIMIT
        words.append(ngettext("{count} more renamed", "{count} more renamed", more))
    return ", ".join(words)


def _named(nicks: Sequence[str]) -> str:
    """Return the nicks, of many the first ones and how many more there are."""
    more = len(nicks) - NAMES_LIMIT
    if more <= 0:
        return ", ".join(nicks)
    first = ", ".join(nicks[:NAMES_LIMIT])
    return ngettext("{nicks} and {count} more", "{nicks} and {count} more", more, nicks=first)
