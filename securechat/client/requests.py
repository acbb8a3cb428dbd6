"""What we ask of a server and is answered as a whole: pages of history, conversations, finds, and
who in a channel is away.

A question carries a label, and what comes back with it is the answer
(https://ircv3.net/specs/extensions/labeled-response). Only who is away can be asked of servers
without labels too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from securechat.client.events import (
    Found,
    HistoryItem,
    HistoryReceived,
    PresenceReceived,
    RequestFailed,
    TargetsReceived,
    TextReceived,
)
from securechat.client.interpret import channel_of, interpret_history, messages_in, parse_time
from securechat.client.session import Session
from securechat.errors import LocalProtocolError, gettext_noop
from securechat.irc import numerics
from securechat.irc.batch import Batch
from securechat.irc.message import NO_TAGS, Message
from securechat.irc.tags import format_tags

__all__ = [
    "ANSWERED",
    "OPEN_REQUESTS",
    "Presence",
    "Question",
    "Requests",
    "format_time",
    "history_page",
    "history_targets",
    "search",
]

OPEN_REQUESTS: Final = 100
"""Most questions of a kind that wait for an answer: far above what a person can look at, and a
server that never answers must not fill our memory."""

ANSWERED: Final = ("labeled-response", "batch")
"""The capabilities with which a question is answered as a whole."""

_REFERENCES: Final = {"msgid": "msgid", "timestamp": "time"}
"""The types of references to a message, and the tags that they are made of."""

_CONTEXT: Final = "draft/chathistory-context"
""" "Context messages MUST NOT be counted towards the message limit." """

_REACHES_OLDEST: Final = "draft/chathistory-end"
"""The tag of a page with the oldest message that there is."""


# ---- questions ----


@dataclass(frozen=True, slots=True)
class Question:
    """A question, before it is asked. Immutable. ``limit``: most messages of a page, told last."""

    capability: str
    answer: str
    """The type of the batch that is the answer."""
    command: str
    params: tuple[str, ...]
    limit: int | None = None

    def words(self, most: int = 0) -> tuple[str, ...]:
        """Return the parameters of the command; ``most`` is the server's own limit, 0: none."""
        if self.limit is None:
            return self.params
        return (*self.params, str(min(self.limit, most) if most else self.limit))


def history_page(
    target: str,
    *,
    before: str | None = None,
    after: str | None = None,
    around: str | None = None,
    limit: int,
) -> Question:
    """Return the question for a page of a conversation.

    :raises LocalProtocolError: there are two references, or one is none, or the limit is below 1.
    """
    given = {"BEFORE": before, "AFTER": after, "AROUND": around}
    chosen = [(word, reference) for word, reference in given.items() if reference is not None]
    if len(chosen) > 1:
        raise LocalProtocolError("history is read before, after or around a message: say one")
    subcommand, reference = chosen[0] if chosen else ("LATEST", "*")
    kind, _, value = reference.partition("=")
    if chosen and not (kind in _REFERENCES and value):
        raise LocalProtocolError("not a reference to a message: {reference!r}", reference=reference)
    params = (subcommand, target, reference)
    return Question("draft/chathistory", "chathistory", "CHATHISTORY", params, _checked(limit))


def history_targets(after: datetime, before: datetime, *, limit: int) -> Question:
    """Return the question for the conversations spoken in last between two times.

    :raises LocalProtocolError: the limit is below 1.
    """
    times = (f"timestamp={format_time(time)}" for time in (after, before))
    return Question(
        "draft/chathistory",
        "draft/chathistory-targets",
        "CHATHISTORY",
        ("TARGETS", *times),
        _checked(limit),
    )


def search(text: str, *, conversation: str = "", sender: str = "", limit: int) -> Question:
    """Return the question for texts by their words.

    :raises LocalProtocolError: nothing is searched for, or the limit is below 1.
    """
    wanted = {"text": text, "in": conversation, "from": sender}
    attributes = {key: value for key, value in wanted.items() if value}
    if not attributes:
        raise LocalProtocolError("there is nothing to search for")
    attributes["limit"] = str(_checked(limit))
    return Question("soju.im/search", "soju.im/search", "SEARCH", (format_tags(attributes),))


def format_time(time: datetime) -> str:
    """Return ``time`` as servers write it, in UTC; without a zone it is local."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _checked(limit: int) -> int:
    if limit < 1:
        raise LocalProtocolError("a limit is 1 or more")
    return limit


# ---- answers ----


@dataclass(frozen=True, slots=True)
class _Asked:
    number: int
    question: Question
    limit: int


class Requests:
    """The questions of one connection that wait. Owned by the thread of its connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[str, _Asked] = {}  # by label

    def ask(self, number: int, question: Question) -> None:
        """Ask; the answer, or ``RequestFailed``, will carry ``number``, once."""
        session = self._session
        if not session.registered:
            self._fail(number, "CONNECTION_LOST", gettext_noop("not connected"))
        elif not session.has(question.capability, *ANSWERED):
            self._fail(number, "NOT_OFFERED", gettext_noop("the server does not offer that"))
        elif len(self._open) >= OPEN_REQUESTS:
            self._fail(number, "TOO_MANY", gettext_noop("too many questions wait for an answer"))
        else:
            words = question.words(session.isupport.number("CHATHISTORY", 0))
            limit = int(words[-1]) if question.limit is not None else 0
            label = f"ask-{number}"
            self._open[label] = _Asked(number, question, limit)
            session.say(question.command, *words, tags={"label": label})

    def answered(self, label: str, batch: Batch) -> bool:
        """Take a batch with that label; false when it is not the answer to a question."""
        asked = self._open.get(label)
        if asked is None or batch.kind != asked.question.answer:
            return False
        del self._open[label]
        match asked.question.params[0]:
            case "TARGETS":
                targets = tuple(_targets(batch))
                self._session.emit(TargetsReceived(asked.number, targets))
            case _ if asked.question.command == "SEARCH":
                texts = [item for item in self._items(batch) if isinstance(item, TextReceived)]
                self._session.emit(Found(asked.number, tuple(texts)))
            case _:
                self._session.emit(self._page(asked, batch))
        return True

    def refused(self, label: str, message: Message) -> bool:
        """Look at a message with that label; true when it refuses a question."""
        if message.command != "FAIL" and not "400" <= message.command <= "599":
            return False
        asked = self._open.pop(label, None)
        if asked is None:
            return False
        params = message.params
        code = params[1] if message.command == "FAIL" and len(params) > 1 else message.command
        self._fail(asked.number, code, params[-1] if params else "")
        return True

    def ended(self, label: str) -> None:
        """Take note that nothing more comes with that label."""
        asked = self._open.pop(label, None)
        if asked is not None:
            self._fail(asked.number, "NO_ANSWER", gettext_noop("the server did not answer that"))

    def lost(self, reason: str) -> None:
        """The connection is over: report what is still open."""
        for asked in self._open.values():
            self._fail(asked.number, "CONNECTION_LOST", reason)
        self._open.clear()

    def _page(self, asked: _Asked, batch: Batch) -> HistoryReceived:
        session = self._session
        subcommand, target, _ = asked.question.params
        conversation = channel_of(session, target) or target
        messages = list(messages_in(batch))
        references = [found for message in messages if (found := self._reference(message))]
        short = sum(_CONTEXT not in message.tags for message in messages) < asked.limit
        first = subcommand != "AFTER" and _REACHES_OLDEST in batch.opened_by.tags
        return HistoryReceived(
            asked.number,
            conversation,
            tuple(replace(item, conversation=conversation) for item in self._items(batch)),
            references[0] if references else None,
            references[-1] if references else None,
            complete=subcommand != "AROUND" and (short or first),
        )

    def _items(self, batch: Batch) -> list[HistoryItem]:
        def work() -> None:
            for message in messages_in(batch):
                interpret_history(self._session, message)

        return [event for event in self._session.replay(work) if isinstance(event, HistoryItem)]

    def _reference(self, message: Message) -> str | None:
        preferred = self._session.isupport.get("MSGREFTYPES") or "msgid,timestamp"
        for kind in preferred.split(","):
            value = message.tags.get(_REFERENCES.get(kind, ""), "")
            if value and " " not in value:
                return f"{kind}={value}"
        return None

    def _fail(self, number: int, code: str, text: str) -> None:
        self._session.emit(RequestFailed(number, code, text))


def _targets(batch: Batch) -> Iterator[tuple[str, datetime]]:
    for message in messages_in(batch):
        if message.command == "CHATHISTORY" and len(message.params) > 2:
            time = parse_time(message.params[2])
            if time is not None:
                yield message.params[1], time


# ---- who is away ----


@dataclass(frozen=True, slots=True)
class _Who:
    channel: str  # folded
    label: str | None
    token: str | None


class Presence:
    """The questions who of a channel is away. Owned by the thread of its connection.

    https://ircv3.net/specs/extensions/whox
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[str, _Who] = {}  # by folded name of the channel
        self._tokens = itertools.cycle(range(1, 1000))  # "MUST contain at most 3 characters"

    def ask(self, channel: str) -> None:
        """Ask, if that is not asked already; ``PresenceReceived`` follows if we are there."""
        session = self._session
        key = session.isupport.fold(channel)
        if key in self._open or len(self._open) >= OPEN_REQUESTS or not session.registered:
            return
        number = str(next(self._tokens))
        token = number if "WHOX" in session.isupport else None
        label = f"who-{number}" if session.has(*ANSWERED) else None
        self._open[key] = _Who(key, label, token)
        fields = [f"%tcnf,{token}"] if token else []
        session.say("WHO", channel, *fields, tags={"label": label} if label else NO_TAGS)

    def take(self, message: Message, label: str | None) -> bool:
        """Take a part of an answer; false when it is not of a question of ours."""
        params = message.params
        token: str | None
        match message.command:
            case numerics.RPL_WHOSPCRPL if len(params) > 4:
                token, name, nick, flags = params[1:5]
            case numerics.RPL_WHOREPLY if len(params) > 6:
                token, name, nick, flags = None, params[1], params[5], params[6]
            case numerics.RPL_ENDOFWHO if len(params) > 1:
                return self._end(self._find(label, params[1]))
            case _:
                return False
        who = self._find(label, name)
        if who is None or who.token != token:
            return False
        self._session.roster.set_away(nick, away=flags.startswith("G"))
        return True

    def ended(self, label: str) -> None:
        """Take note that nothing more comes with that label: the server may have refused."""
        for who in list(self._open.values()):
            if who.label == label:
                del self._open[who.channel]

    def _find(self, label: str | None, name: str) -> _Who | None:
        who = self._open.get(self._session.isupport.fold(name))
        return who if who is not None and who.label == label else None

    def _end(self, who: _Who | None) -> bool:
        if who is None:
            return False
        del self._open[who.channel]
        roster = self._session.roster
        channel = roster.channel(who.channel)
        if channel is not None:
            self._session.emit(PresenceReceived(channel.name, roster.snapshot(channel.name)))
        return True
