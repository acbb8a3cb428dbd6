"""``ClientProtocol``: the client's side of IRC as a sans-I/O object.

Bytes from the server go in, events come out; intents go in, bytes for the server come out. It knows
no socket, thread, clock or chance: the time and nonces come from the functions it is given.

It is put together from parts that share one ``Session``: ``Registration`` (with ``Login``) until
the welcome, ``Deliveries`` for the answers to our texts, ``Requests`` and ``Presence`` for those to
our questions, ``interpret`` for all the rest. It speaks
to any IRCv3 server, and to a server that knows none of IRCv3.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal

from securechat.client.deliveries import Deliveries
from securechat.client.events import (
    Event,
    Joined,
    NotDelivered,
    PeopleBack,
    PeopleLost,
    Quit,
    Reacted,
    TextReceived,
)
from securechat.client.interpret import (
    MARK_TAG,
    REACT_TAG,
    REACTION_CHARACTERS,
    REPLY_TAG,
    TYPING_TAG,
    UNREACT_TAG,
    channel_of,
    interpret,
    interpret_history,
    whole_message,
)
from securechat.client.registration import Phase, Registration
from securechat.client.requests import ANSWERED, Presence, Question, Requests, format_time
from securechat.client.session import Credentials, Identity, Session
from securechat.errors import LocalProtocolError, RemoteProtocolError, gettext_noop
from securechat.irc.batch import Batch, BatchCollector
from securechat.irc.ctcp import format_ctcp
from securechat.irc.framing import SERVER_TAG_DATA_BYTES, LineBuffer, Overlong
from securechat.irc.message import BODY_BYTES, Message, split_source
from securechat.irc.multiline import BATCH_TYPE as MULTILINE
from securechat.irc.multiline import cut_pieces
from securechat.irc.tags import CLIENT_TAG_DATA_BYTES, format_tags
from securechat.irc.text import split_text

__all__ = [
    "ClientProtocol",
    "SentKind",
    "TypingState",
    "check_command",
    "check_line",
    "check_reaction",
    "check_target",
    "check_text",
    "encode",
    "text_tags",
]

SentKind = Literal["message", "notice", "action"]
TypingState = Literal["active", "paused", "done"]

_LINE_BYTES: Final = 8192
"""Longest line taken from a server, in bytes without tags: some servers allow more than 510, and
those that do stay below this."""

_TEXT_BYTES: Final = 64
"""Least room for the text of a line; a target so long that less is left is refused."""

_ALIVE: Final = "alive"
"""The token of a PING that asks whether the server is still there."""

_HISTORY: Final = frozenset({"chathistory", "znc.in/playback"})
"""The types of batches that hold what was said before we came."""

_SPLITS: Final = frozenset({"netsplit", "netjoin"})
"""The types of batches that tell of a server that is lost, or back, and of all its people
(https://ircv3.net/specs/batches/netsplit)."""

_UNASKED: Final = "unasked-"
"""Begins the labels of what nobody has asked us to say (that somebody types): a refusal of it is
nobody's business."""

_LABEL_BYTES: Final = 100
"""Room that is left beside our tags for a label; that "MUST NOT exceed 64 bytes"."""

_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")


class ClientProtocol:
    """One connection to a server. Owned by the thread of its connection; does no I/O.

    :param wall_clock: the time of texts whose server does not say it.
    :param make_nonce: returns fresh random printable ASCII without commas, for SCRAM.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        wall_clock: Callable[[], datetime],
        make_nonce: Callable[[], str],
    ) -> None:
        self.session = Session(identity, wall_clock)
        self._lines = LineBuffer(tag_bytes=SERVER_TAG_DATA_BYTES, body_bytes=_LINE_BYTES)
        self._batches = BatchCollector()
        self._registration = Registration(self.session, make_nonce)
        self._deliveries = Deliveries(self.session)
        self._requests = Requests(self.session)
        self._presence = Presence(self.session)
        self._tags_said = itertools.count(1)

    # ---- the two ways ----

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes from the server; return what they mean.

        :raises RemoteProtocolError: the server said something illegal. Close the connection; what
            was understood before is in ``take_events``.
        """
        for line in self._lines.feed(data):
            if isinstance(line, Overlong):
                raise RemoteProtocolError("the server sent a line that is too long")
            complete = self._batches.feed(Message.parse(line.decode(errors="replace")))
            if complete is not None:
                self._handle(complete, None)
                self._note_end(complete)
        return self.take_events()

    def data_to_send(self) -> bytes:
        """Return what must go to the server now, and forget it."""
        return self.session.take_output()

    def take_events(self) -> list[Event]:
        """Return the events that intents have caused, and forget them."""
        return self.session.take_events()

    def connection_lost(self, reason: str) -> list[Event]:
        """Take note that the connection is over; return what that means for what is open."""
        reason = self.session.closing or reason
        self._deliveries.lost(reason)
        self._requests.lost(reason)
        return self.take_events()

    # ---- where we are ----

    @property
    def registered(self) -> bool:
        """Whether the welcome is complete: commands and texts may be sent."""
        return self._registration.phase is Phase.REGISTERED

    @property
    def held(self) -> bool:
        """Whether the server waits for another nick or a login before it lets us in."""
        return self._registration.phase is Phase.HELD

    # ---- intents ----

    def start(self) -> None:
        """Begin the registration."""
        self._registration.start()

    def set_nick(self, nick: str) -> None:
        """Ask for another nick."""
        self._registration.set_nick(nick)

    def login(self, credentials: Credentials) -> None:
        """Log in: the answer to ``NickRejected`` or ``AccountRequired``, or at any later time."""
        self._registration.login(credentials)

    def command(self, command: str, *params: str) -> None:
        """Say a command that needs nothing but saying.

        :raises LocalProtocolError: as ``check_command``.
        """
        check_command(command, *params)
        self.session.say(command, *params)

    def signal(self, message: Message) -> None:
        """Say a message for peers, with its tags, once we are on the network."""
        if self.registered:
            self.session.say(message.command, *message.params, tags=message.tags)

    def raw(self, line: str) -> None:
        """Say a line as it is.

        :raises LocalProtocolError: as ``check_line``.
        """
        check_line(line)
        self.session.say_line(line)

    def ping(self) -> None:
        """Ask whether the server is still there; anything it says is an answer."""
        self.session.say("PING", _ALIVE)

    def send_text(
        self,
        target: str,
        text: str,
        *,
        delivery: int,
        kind: SentKind = "message",
        reply_to: str | None = None,
        mark: str | None = None,
    ) -> None:
        """Say ``text`` to a channel or nick: as one message, or in as many lines as it takes.

        ``Delivered`` or ``NotDelivered`` with the number ``delivery`` will follow, once. What it
        replies to, and its mark, are told where the server takes tags.

        :raises LocalProtocolError: as ``check_text`` and ``text_tags``.
        """
        check_text(target, text)
        tags = text_tags(reply_to, mark)
        session = self.session
        if not self.registered:
            text = gettext_noop("not connected")
            session.emit(NotDelivered(delivery, target, "NOT_CONNECTED", text))
            return
        if not session.has("message-tags"):
            tags = {}
        command = "NOTICE" if kind == "notice" else "PRIVMSG"
        room = session.text_limit_bytes(command, target)
        if kind == "action":
            room -= len(format_ctcp("ACTION", " ")) - 1
        if room < _TEXT_BYTES:
            raise LocalProtocolError("no room for a text behind the name {target!r}", target=target)
        whole = cut_pieces(_LINE_ENDS.split(text.strip("\r\n")), room)
        if kind != "action" and len(whole) > 1 and self._deliveries.can_send_whole(whole):
            self._deliveries.send_whole(delivery, command, target, whole, tags)
            return
        pieces = [piece for line in _text_lines(text) for piece in split_text(line, room) if piece]
        lines = [format_ctcp("ACTION", piece) if kind == "action" else piece for piece in pieces]
        sent = self._deliveries.send(delivery, command, target, lines, tags)
        if sent and not session.has("echo-message"):
            self._emit_own(target, pieces, kind, delivery, tags)

    def ask(self, number: int, question: Question) -> None:
        """Ask; the answer, or ``RequestFailed``, will carry ``number``, once."""
        self._requests.ask(number, question)

    def ask_presence(self, channel: str) -> None:
        """Ask who of a channel is away."""
        self._presence.ask(channel)

    def react(self, target: str, msgid: str, reaction: str, *, remove: bool = False) -> None:
        """React to a text, or take the reaction back.

        :raises LocalProtocolError: as ``check_reaction``.
        """
        check_reaction(target, msgid, reaction)
        session = self.session
        tag = UNREACT_TAG if remove else REACT_TAG
        if not (self.registered and session.passes(tag) and session.passes(REPLY_TAG)):
            return
        self._say_tags(target, {REPLY_TAG: msgid, tag: reaction}, "tags-")
        if not session.has("echo-message"):
            conversation = channel_of(session, target) or target
            now = session.wall_clock()
            session.emit(
                Reacted(conversation, msgid, session.nick, reaction, remove, own=True, time=now)
            )

    def typing(self, target: str, state: TypingState) -> None:
        """Tell that we are typing, where the server takes that."""
        if self.registered and self.session.passes(TYPING_TAG):
            self._say_tags(target, {TYPING_TAG: state}, _UNASKED)

    def mark_read(self, conversation: str, time: datetime) -> None:
        """Tell our other devices up to where we have read, where the server takes that."""
        if self.registered and self.session.has("draft/read-marker"):
            self.session.say("MARKREAD", conversation, f"timestamp={format_time(time)}")

    def _say_tags(self, target: str, tags: Mapping[str, str], label: str) -> None:
        # With a label a refusal is not taken for that of a text to the same target.
        if self.session.has(*ANSWERED):
            tags = {"label": f"{label}{next(self._tags_said)}", **tags}
        self.session.say("TAGMSG", target, tags=tags)

    # ---- messages ----

    def _handle(self, item: Message | Batch, label: str | None) -> None:
        if isinstance(item, Batch):
            self._handle_batch(item, item.opened_by.tags.get("label", label))
            return
        if self.session.replaying:
            interpret_history(self.session, item)
            return
        self._note_source(item)
        label = item.tags.get("label", label)
        if self._presence.take(item, label):
            return
        if label is None:
            if not self._deliveries.unlabelled(item):
                self._take(item)
        elif label.startswith(_UNASKED) or self._requests.refused(label, item):
            return
        elif not self._deliveries.refused(label, item):
            self.session.delivery = self._deliveries.find(label)
            self._take(item)
            self.session.delivery = None
            self._deliveries.answered(label)

    def _handle_batch(self, batch: Batch, label: str | None) -> None:
        session = self.session
        if batch.kind == MULTILINE:
            whole = whole_message(batch)
            if whole is not None:
                self._handle(whole, label)
            return
        if label is not None and self._requests.answered(label, batch):
            return
        if batch.kind in _SPLITS and not session.replaying:
            self._handle_split(batch, label)
            return
        outside, session.replaying = session.replaying, session.replaying or batch.kind in _HISTORY
        for inner in batch.content:
            self._handle(inner, label)
        session.replaying = outside

    def _handle_split(self, batch: Batch, label: str | None) -> None:
        """Report as one what has happened to many people at once."""
        session = self.session

        def work() -> None:
            for inner in batch.content:
                self._handle(inner, label)

        events = session.collect(work)
        relay = _split_relay(batch)
        quits: list[Quit] = []
        joins: list[Joined] = []
        for event in events:
            match event:
                case Quit():
                    quits.append(event)
                case Joined(own=False):
                    joins.append(event)
                case _:
                    session.emit(event)
        if quits:
            session.emit(PeopleLost(relay, tuple(quits)))
        if joins:
            session.emit(PeopleBack(relay, tuple(joins)))

    def _note_end(self, item: Message | Batch) -> None:
        """Take note that an answer is complete: it is "exactly one logical message"."""
        tags = item.opened_by.tags if isinstance(item, Batch) else item.tags
        label = tags.get("label")
        if label is not None:
            self._requests.ended(label)
            self._presence.ended(label)

    def _take(self, message: Message) -> None:
        if not self._handle_here(message):
            interpret(self.session, message)

    def _handle_here(self, message: Message) -> bool:
        params = message.params
        if message.command == "PING":
            self.session.say("PONG", *params[-1:])
            return True
        if message.command == "PONG":
            token = params[-1] if params else ""
            return token == _ALIVE or self._deliveries.pong(token)
        if message.command in Registration.COMMANDS:
            return self._registration.handle(message)
        if message.command == "FAIL" and len(params) >= 3:
            command, code, *context = params[:-1]
            return self._registration.handle_fail(
                command.upper(), code.upper(), tuple(context), params[-1]
            )
        return False

    def _note_source(self, message: Message) -> None:
        if message.source and self.session.is_me(message.nick):
            _, user, host = split_source(message.source)
            if user and host:
                self.session.user_host = f"{user}@{host}"

    def _emit_own(
        self,
        target: str,
        pieces: list[str],
        kind: SentKind,
        delivery: int,
        tags: Mapping[str, str],
    ) -> None:
        session = self.session
        channel = channel_of(session, target)
        for piece in pieces:
            session.emit(
                TextReceived(
                    channel or target,
                    target,
                    session.nick,
                    session.account,
                    piece,
                    kind,
                    session.wall_clock(),
                    direct=not channel,
                    own=True,
                    reply_to=tags.get(REPLY_TAG),
                    delivery=delivery,
                    mark=tags.get(MARK_TAG),
                )
            )
            tags = {}


def _split_relay(batch: Batch) -> str:
    """Return the server that is lost or back: of the two that the batch names, the one that does
    not tell it; empty where servers hide how they are linked (``*.net *.split``).
    """
    others = (name for name in batch.params[:2] if name != batch.opened_by.source)
    name = next(others, "")
    return "" if name.startswith("*") else name


# ---- what may be said ----


def check_text(target: str, text: str) -> None:
    """Check that ``text`` can be said to ``target``; line ends in it are fine.

    :raises LocalProtocolError: the target is not one name, or the text is empty, has a NUL or
        cannot be encoded.
    """
    check_target(target)
    encode(text)
    lines = _text_lines(text)
    if not lines:
        raise LocalProtocolError("there is no text to send")
    for line in lines:
        Message("PRIVMSG", (target, line)).to_line()


def check_target(target: str) -> None:
    """Check that ``target`` is one name, of a channel or person.

    :raises LocalProtocolError: it is not.
    """
    encode(target)
    if not target or "," in target or any(c in target for c in " \0\r\n") or target[0] in ":@":
        raise LocalProtocolError("not the name of a person or channel: {target!r}", target=target)


def text_tags(reply_to: str | None, mark: str | None) -> dict[str, str]:
    """Return the tags of a text that replies to another, and that we want to know again.

    :raises LocalProtocolError: they cannot be said, or are too long.
    """
    wanted = {REPLY_TAG: reply_to, MARK_TAG: mark}
    tags = {key: value for key, value in wanted.items() if value}
    _check_tags(tags)
    return tags


def check_reaction(target: str, msgid: str, reaction: str) -> None:
    """Check that a reaction to the text ``msgid`` can be said.

    :raises LocalProtocolError: the target is not one name, there is no reaction, it is longer than
        ``REACTION_CHARACTERS``, or the id is none.
    """
    check_target(target)
    if not msgid or not reaction:
        raise LocalProtocolError("a reaction needs a text that it is for")
    if len(reaction) > REACTION_CHARACTERS:
        raise LocalProtocolError(
            "a reaction has at most {limit} characters", limit=REACTION_CHARACTERS
        )
    _check_tags({REPLY_TAG: msgid, REACT_TAG: reaction})


def _check_tags(tags: Mapping[str, str]) -> None:
    data = format_tags(tags)
    if "\0" in data or len(encode(data)) > CLIENT_TAG_DATA_BYTES - _LABEL_BYTES:
        raise LocalProtocolError("this cannot be said in the tags of a message")


def check_command(command: str, *params: str) -> None:
    """Check that a command can be said.

    :raises LocalProtocolError: a parameter would not survive, or the line is too long.
    """
    check_line(Message(command, params).to_line())


def check_line(line: str) -> None:
    """Check that ``line`` is one message of legal length.

    :raises LocalProtocolError: it is not.
    """
    try:
        Message.parse(line)
    except RemoteProtocolError as error:
        raise LocalProtocolError("{error}", error=error) from error
    body = line.partition(" ")[2] if line.startswith("@") else line
    size = len(encode(body))
    if size > BODY_BYTES:
        raise LocalProtocolError(
            "too long for one line: {size} bytes, {limit} are allowed", size=size, limit=BODY_BYTES
        )


def encode(text: str) -> bytes:
    """Return ``text`` in UTF-8.

    :raises LocalProtocolError: it has a lone surrogate: what Python makes of a byte that is no
        UTF-8, in an argument or a file's name.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError("this has bytes that are no text in UTF-8") from error


def _text_lines(text: str) -> list[str]:
    return [line for line in _LINE_ENDS.split(text) if line]
