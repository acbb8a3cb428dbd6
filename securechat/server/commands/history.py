"""CHATHISTORY: what was said before.

https://ircv3.net/specs/extensions/chathistory
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from securechat.errors import StoreError
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server.context import Context, as_middle
from securechat.server.delivery.lines import server_time
from securechat.server.dispatch import command
from securechat.server.history.access import (
    Source,
    find_source,
    other_party,
    own_conversations,
    readable_rooms,
    shown_person,
)
from securechat.server.history.entries import person
from securechat.server.history.playback import (
    Listener,
    TaggedLine,
    batch_lines,
    entry_lines,
    wanted_kinds,
)
from securechat.server.refusals import Fail, Refusal
from securechat.server.store_thread import Outcome
from securechat.store.history import (
    SPOKEN_KINDS,
    History,
    KeptEntry,
    Page,
    Position,
    Readable,
)

__all__ = ["answer_from_history", "parse_limit", "parse_timestamp"]

T = TypeVar("T")

_PARAMETERS: Final[Mapping[str, int]] = {
    "BEFORE": 4,
    "AFTER": 4,
    "LATEST": 4,
    "AROUND": 4,
    "BETWEEN": 5,
    "TARGETS": 4,
}
"""The subcommands and how many parameters each has, itself included."""

_TIMESTAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII
)

_LIMIT_DIGITS: Final = 9
"""Most digits of a limit; what is longer is no number of messages."""

_FURTHER_ENTRIES: Final = 1_000
"""Entries that are looked at at a time where a page was short for redacted ones: somebody may have
deleted thousands in a row."""

_CANNOT: Final = "Messages could not be retrieved"

_Reference = Position | str | None
"""Where to look from: a time, the id of a message, or nowhere in particular."""


class _Missing(Exception):
    """There is no message of that id to be read."""


@command("CHATHISTORY")
def chathistory(context: Context, message: Message) -> None:
    """CHATHISTORY <BEFORE | AFTER | LATEST | AROUND | BETWEEN> <target> <reference…> <limit>.

    See what was said before; clients do this by themselves. A reference is timestamp=<time> or
    msgid=<id>. "CHATHISTORY TARGETS <time> <time> <limit>" lists conversations.
    """
    if not context.session.caps & caps.CHATHISTORY:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    subcommand = message.params[0].upper() if message.params else ""
    wanted = _PARAMETERS.get(subcommand)
    if wanted is None:
        raise _invalid(message.params[0] if message.params else "*", text="Unknown command")
    if len(message.params) < wanted:
        raise _invalid(subcommand, text="Insufficient parameters")
    if len(message.params) > wanted:
        raise _invalid(subcommand, text="Too many parameters")
    if subcommand == "TARGETS":
        _targets(context, message.params[1:])
    else:
        _messages(context, subcommand, message.params[1:])


def parse_timestamp(text: str) -> int | None:
    """Return the milliseconds since 1970 UTC of a ``YYYY-MM-DDThh:mm:ss.sssZ``."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    if not (year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    return seconds * 1000 + int((match[7] or "").ljust(3, "0")[:3])


def parse_limit(text: str, most: int) -> int | None:
    """Return the number of messages that ``text`` asks for, at most ``most``."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS and int(text) > 0):
        return None
    return min(int(text), most)


# ---- messages ----


def _messages(context: Context, subcommand: str, params: Sequence[str]) -> None:
    target, *given, limit_text = params
    limit = _limit(context, subcommand, limit_text)
    references = [_reference(subcommand, target, text) for text in given]
    source = find_source(context.services, context.user, target)
    if source is None:
        raise Fail("CHATHISTORY", "INVALID_TARGET", subcommand, as_middle(target), text=_CANNOT)
    listener = _listener(context, source)
    readable = source.readable

    def read(history: History) -> list[TaggedLine]:
        found = Page([], from_oldest=True)
        if readable is not None:
            found = _find(history, readable, subcommand, references, limit, listener.caps)
        lines = [line for kept in found.entries for line in entry_lines(kept.entry, listener)]
        end = "draft/chathistory-end" if found.from_oldest else ""
        return batch_lines(listener, reference, "chathistory", (source.name,), lines, end)

    reference = context.session.new_batch_reference()
    failure = Fail(
        "CHATHISTORY", "MESSAGE_ERROR", subcommand, as_middle(target), *given, text=_CANNOT
    )
    answer_from_history(context, read, lambda lines: lines, failure)


def _find(
    history: History,
    readable: Readable,
    subcommand: str,
    references: Sequence[_Reference],
    limit: int,
    mask: int,
) -> Page:
    """Return the entries asked for. On the store thread.

    :raises _Missing: there is no message of the id that was given.
    """
    kinds = wanted_kinds(mask)
    one, other = (_position(history, readable, item) for item in (*references, None)[:2])
    after = before = None
    newest = False
    match subcommand:
        case "AROUND":
            assert one is not None
            page = history.around(readable, one, limit=limit, kinds=kinds)
            return Page([kept for kept in page.entries if not kept.redacted], page.from_oldest)
        case "BEFORE":
            before, newest = one, True
        case "AFTER":
            after = one
        case "LATEST":
            after, newest = one, True
        case _:  # BETWEEN, "forwards or backwards in time"
            assert one is not None
            assert other is not None
            after, before, newest = (one, other, False) if one < other else (other, one, True)
    entries: list[KeptEntry] = []
    oldest: bool | None = None
    size = limit
    while True:
        page = history.page(
            readable, after=after, before=before, limit=size, newest=newest, kinds=kinds
        )
        # What was redacted is left out, "entirely"; a page that is short for it would be taken
        # for the last.
        missing = limit - len(entries)
        found = [kept for kept in page.entries if not kept.redacted]
        entries = found[-missing:] + entries if newest else entries + found[:missing]
        if newest:
            oldest = page.from_oldest and len(found) <= missing
        elif oldest is None:
            oldest = page.from_oldest
        if len(page.entries) < size or len(entries) == limit:
            return Page(entries, oldest)
        size = _FURTHER_ENTRIES
        if newest:
            before = page.entries[0].position
        else:
            after = page.entries[-1].position


def _position(history: History, readable: Readable, reference: _Reference) -> Position | None:
    if not isinstance(reference, str):
        return reference
    position = history.locate(readable, reference)
    if position is None:
        raise _Missing
    return position


# ---- conversations ----


def _targets(context: Context, params: Sequence[str]) -> None:
    limit = _limit(context, "TARGETS", params[2])
    times = []
    for text in params[:2]:
        at_ms = parse_timestamp(text.removeprefix("timestamp="))
        if at_ms is None or not text.startswith("timestamp="):
            raise _invalid("TARGETS", as_middle(text), text="Invalid timestamp")
        times.append(at_ms)
    services, user = context.services, context.user
    own = (
        person(user.nick, user.account, services.network.fold) if user.account is not None else None
    )
    rooms = list(readable_rooms(services, user))
    listener = _listener(context, None)
    names = {source.readable.key: source.name for source in rooms if source.readable is not None}
    readables = [source.readable for source in rooms if source.readable is not None]

    def read(history: History) -> list[tuple[int, str, str | None]]:
        """Return time, key and, of a direct conversation, the other person."""
        people: dict[str, str] = {}
        if own is not None:
            for conversation in own_conversations(history, own):
                assert conversation.parties is not None
                people[conversation.key] = other_party(own, conversation.parties)
        wanted = [*readables, *map(Readable, people)]
        latest = history.latest_times(wanted, SPOKEN_KINDS)
        first, last = min(times), max(times)
        found = sorted(
            (at_ms, key, people.get(key)) for key, at_ms in latest.items() if first < at_ms < last
        )
        return found[:limit] if times[0] <= times[1] else found[-limit:]

    def show(found: list[tuple[int, str, str | None]]) -> list[TaggedLine]:
        lines = []
        for at_ms, key, who in found:
            name = names[key] if who is None else shown_person(services.network, who)
            lines.append(("", f":{services.name} CHATHISTORY TARGETS {name} {server_time(at_ms)}"))
        reference = context.session.new_batch_reference()
        return batch_lines(listener, reference, "draft/chathistory-targets", (), lines)

    failure = Fail("CHATHISTORY", "MESSAGE_ERROR", "TARGETS", "*", text=_CANNOT)
    answer_from_history(context, read, show, failure)


# ---- both ----


def _limit(context: Context, subcommand: str, text: str) -> int:
    limit = parse_limit(text, context.services.config.history.page)
    if limit is None:
        raise _invalid(subcommand, as_middle(text), text="Invalid limit")
    return limit


def _reference(subcommand: str, target: str, text: str) -> _Reference:
    kind, equals, value = text.partition("=")
    if text == "*" and subcommand == "LATEST":
        return None
    if kind == "msgid" and value:
        return value
    if kind == "timestamp":
        at_ms = parse_timestamp(value)
        if at_ms is None:
            raise _invalid(subcommand, as_middle(text), text="Invalid timestamp")
        return Position.at(at_ms)
    if equals and kind != "msgid":
        raise Fail(
            "CHATHISTORY",
            "INVALID_MSGREFTYPE",
            subcommand,
            as_middle(target),
            text="Messages are referred to by msgid= or timestamp=",
        )
    raise _invalid(subcommand, as_middle(text), text="Invalid reference to a message")


def _invalid(subcommand: str, *given: str, text: str) -> Fail:
    return Fail("CHATHISTORY", "INVALID_PARAMS", as_middle(subcommand), *given, text=text)


def _listener(context: Context, source: Source | None) -> Listener:
    room = source.name if source is not None and source.room else ""
    return Listener(context.services.name, context.session.caps, room)


def answer_from_history(
    context: Context,
    read: Callable[[History], T],
    show: Callable[[T], list[TaggedLine]],
    failure: Fail,
) -> None:
    """Hold the session, have ``read`` done on the store thread, and answer with what it found."""

    def finish(outcome: Outcome[T]) -> None:
        context.resume(lambda: answer(outcome))

    def answer(outcome: Outcome[T]) -> None:
        if isinstance(outcome.error, _Missing | StoreError):
            raise failure
        context.lines(show(outcome.result()))

    try:
        context.services.history.read(context, read, finish)
    except StoreError as error:
        raise failure from error
    context.hold()
