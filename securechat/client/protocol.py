"""``ClientProtocol``: the client's side of IRC as a sans-I/O object.

Bytes from the server go in, events come out; intents go in, bytes for the server come out. It knows
no socket, thread, clock or chance: the time and nonces come from the functions it is given.

It is put together from parts that share one ``Session``: ``Registration`` (with ``Login``) until
the welcome, ``Deliveries`` for the answers to our texts, ``interpret`` for all the rest. It speaks
to any IRCv3 server, and to a server that knows none of IRCv3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from securechat.client.deliveries import Deliveries
from securechat.client.events import Event, NotDelivered, TextReceived
from securechat.client.interpret import channel_of, interpret
from securechat.client.registration import Phase, Registration
from securechat.client.session import Credentials, Identity, Session
from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.batch import Batch, BatchCollector
from securechat.irc.ctcp import format_ctcp
from securechat.irc.framing import SERVER_TAG_DATA_BYTES, LineBuffer, Overlong
from securechat.irc.message import BODY_BYTES, Message, split_source
from securechat.irc.multiline import BATCH_TYPE as MULTILINE
from securechat.irc.multiline import CONCAT_TAG, Piece, combined_text, cut_pieces, join_pieces
from securechat.irc.text import split_text

__all__ = ["ClientProtocol", "SentKind", "check_command", "check_line", "check_text", "encode"]

SentKind = Literal["message", "notice", "action"]

_LINE_BYTES: Final = 8192
"""Longest line taken from a server, in bytes without tags: some servers allow more than 510, and
those that do stay below this."""

_TEXT_BYTES: Final = 64
"""Least room for the text of a line; a target so long that less is left is refused."""

_ALIVE: Final = "alive"
"""The token of a PING that asks whether the server is still there."""

_HISTORY: Final = frozenset({"chathistory", "znc.in/playback"})
"""The types of batches that hold what was said before we came."""

_TEXTS: Final = frozenset({"PRIVMSG", "NOTICE"})

_REPLAYED: Final = _TEXTS | {"REDACT"}
"""What is taken from history. Who came and went then says nothing of who is there now."""

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
        return self.take_events()

    def data_to_send(self) -> bytes:
        """Return what must go to the server now, and forget it."""
        return self.session.take_output()

    def take_events(self) -> list[Event]:
        """Return the events that intents have caused, and forget them."""
        return self.session.take_events()

    def connection_lost(self, reason: str) -> list[Event]:
        """Take note that the connection is over; return what that means for open texts."""
        self._deliveries.lost(self.session.closing or reason)
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
        self, target: str, text: str, *, delivery: int, kind: SentKind = "message"
    ) -> None:
        """Say ``text`` to a channel or nick: as one message, or in as many lines as it takes.

        ``Delivered`` or ``NotDelivered`` with the number ``delivery`` will follow, once.

        :raises LocalProtocolError: as ``check_text``.
        """
        check_text(target, text)
        session = self.session
        if not self.registered:
            session.emit(NotDelivered(delivery, target, "NOT_CONNECTED", "not connected"))
            return
        command = "NOTICE" if kind == "notice" else "PRIVMSG"
        room = session.text_limit_bytes(command, target)
        if kind == "action":
            room -= len(format_ctcp("ACTION", " ")) - 1
        if room < _TEXT_BYTES:
            raise LocalProtocolError(f"no room for a text behind the name {target!r}")
        whole = cut_pieces(_LINE_ENDS.split(text.strip("\r\n")), room)
        if kind != "action" and len(whole) > 1 and self._deliveries.can_send_whole(whole):
            self._deliveries.send_whole(delivery, command, target, whole)
            return
        pieces = [piece for line in _text_lines(text) for piece in split_text(line, room) if piece]
        lines = [format_ctcp("ACTION", piece) if kind == "action" else piece for piece in pieces]
        sent = self._deliveries.send(delivery, command, target, lines)
        if sent and not session.has("echo-message"):
            self._emit_own(target, pieces, kind)

    # ---- messages ----

    def _handle(self, item: Message | Batch, label: str | None) -> None:
        if isinstance(item, Batch):
            self._handle_batch(item, item.opened_by.tags.get("label", label))
            return
        if self.session.replaying:
            if item.command in _REPLAYED:
                interpret(self.session, item)
            return
        self._note_source(item)
        label = item.tags.get("label", label)
        if label is None:
            if not self._deliveries.unlabelled(item) and not self._handle_here(item):
                interpret(self.session, item)
        elif not self._deliveries.refused(label, item):
            if not self._handle_here(item):
                interpret(self.session, replace(item, tags={**item.tags, "label": label}))
            self._deliveries.answered(label)

    def _handle_batch(self, batch: Batch, label: str | None) -> None:
        session = self.session
        if batch.kind == MULTILINE:
            whole = _whole(batch)
            if whole is not None:
                self._handle(whole, label)
            return
        outside, session.replaying = session.replaying, session.replaying or batch.kind in _HISTORY
        for inner in batch.content:
            self._handle(inner, label)
        session.replaying = outside

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

    def _emit_own(self, target: str, pieces: list[str], kind: SentKind) -> None:
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
                )
            )


def _whole(batch: Batch) -> Message | None:
    """Return the one message that a multiline batch is, with its line feeds."""
    lines = [
        item
        for item in batch.content
        if isinstance(item, Message) and item.command in _TEXTS and len(item.params) > 1
    ]
    if not lines:
        return None
    pieces = (Piece(line.params[1], CONCAT_TAG in line.tags) for line in lines)
    text = combined_text(join_pieces(pieces))
    first, opening = lines[0], batch.opened_by
    return Message(
        first.command, (first.params[0], text), first.source or opening.source, opening.tags
    )


# ---- what may be said ----


def check_text(target: str, text: str) -> None:
    """Check that ``text`` can be said to ``target``; line ends in it are fine.

    :raises LocalProtocolError: the target is not one name, or the text is empty, has a NUL or
        cannot be encoded.
    """
    encode(target + text)
    if not target or "," in target or any(c in target for c in " \0\r\n") or target[0] in ":@":
        raise LocalProtocolError(f"not the name of a person or channel: {target!r}")
    lines = _text_lines(text)
    if not lines:
        raise LocalProtocolError("there is no text to send")
    for line in lines:
        Message("PRIVMSG", (target, line)).to_line()


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
        raise LocalProtocolError(str(error)) from error
    body = line.partition(" ")[2] if line.startswith("@") else line
    size = len(encode(body))
    if size > BODY_BYTES:
        raise LocalProtocolError(f"too long for one line: {size} bytes, {BODY_BYTES} are allowed")


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
