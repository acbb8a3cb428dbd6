"""One person at one network, without a face: what is typed goes in, what happens is taken note of.

``Chat`` is what all user interfaces have in common: the conversations, which way a text goes, what
is still unsent, what peers ask, the slash-commands and the questions that come before something can
go on (a password, another nick). A face shows them: ``LineMode`` as lines, ``tui`` as panes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securechat.client.chat.buffers import Entry
from securechat.client.chat.conversations import Conversations, News
from securechat.client.chat.outgoing import Outgoing, OutgoingText
from securechat.client.chat.peer_desk import PeerDesk
from securechat.client.chat.routing import Routes
from securechat.client.chat.scrollback import Scrollback
from securechat.client.client import Client
from securechat.client.commands import dispatch as commands
from securechat.client.commands.table import Command
from securechat.client.events import (
    AccountRequired,
    ChannelRenamed,
    Disconnected,
    Event,
    Failure,
    Joined,
    Kicked,
    LoginRejected,
    NickChanged,
    NickRejected,
    Parted,
    RelaysAnnounced,
    Welcome,
)
from securechat.client.settings.invitation import invite_code
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.client.words.wording import Wording
from securechat.errors import LocalProtocolError, NetworkError, SecureChatError
from securechat.irc.sasl import prepare_password
from securechat.peer.records import TextKind

__all__ = ["FAREWELL", "Chat", "Question"]

FAREWELL: Final = "leaving"
"""What others read when we go, in whatever language we speak."""

_MARK_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the user must answer before it can go on. Immutable; ``prompt`` is safe."""

    prompt: str
    secret: bool
    answer: Callable[[str], None]


class Chat:
    """One person at one network. Owned by the user interface's thread.

    :param client: interactive, and started by somebody else.
    :param channels: what the client joins by itself.
    :param clock: the local time.
    :param monotonic: seconds that only go forward.
    """

    table: Mapping[str, Command] = commands.COMMANDS
    """The slash-commands of this face, by name."""

    def __init__(
        self,
        client: Client,
        *,
        channels: Sequence[str],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.finished = False
        self.farewell = FAREWELL
        self.error: SecureChatError | None = None  # why it ended, if not by the user
        self.questions: list[Question] = []
        self.desk = PeerDesk(client)
        self.outgoing = Outgoing(client, make_mark=lambda: secrets.token_urlsafe(_MARK_BYTES))
        self.routes = Routes(client, self.outgoing)
        self.wording = Wording(client, clock)
        self.conversations = Conversations(
            client,
            self.wording,
            wall_clock=lambda: clock().astimezone(),
            monotonic=monotonic,
        )
        self.scrollback = Scrollback(
            client, self.conversations, wall_clock=lambda: clock().astimezone()
        )
        self._channels = channels
        self._rooms: list[str] = []  # joined, in their order; rejoined after a lost connection
        self._asked_for: set[str] = set()  # rooms that the user wants to enter, lower case
        self._welcomed = False
        self._registering = False

    # ---- where the user is ----

    @property
    def target(self) -> str:
        """The room or nick that is talked to; empty: nobody."""
        return self.conversations.current.name

    def set_target(self, target: str) -> None:
        """Talk to ``target`` from now on; empty goes back to the last room."""
        target = target or (self._rooms[-1] if self._rooms else "")
        self.conversations.current = self.conversations.open(target)
        self.moved()

    def moved(self) -> None:
        """The user is in another conversation now; for a face that shows it."""

    def learn(self, event: RelaysAnnounced) -> None:
        """A relay has said which there are; for a face that keeps it for the next start."""

    def left_room(self) -> None:
        """The user is no longer in the room that is talked to: talk in the last one."""
        self.set_target("")

    def join(self, channel: str, key: str | None = None) -> None:
        """Enter a room, and talk there once we are in.

        :raises SecureChatError: it cannot be asked for.
        """
        room = self.conversations.get(channel)
        if room is not None and room.joined:
            self.set_target(channel)  # the relay would not answer
        else:
            self.client.join(channel, key)
            self._asked_for.update(channel.lower().split(","))

    def need_target(self) -> str:
        """Return who is talked to.

        :raises LocalProtocolError: nobody.
        """
        if not self.target:
            raise LocalProtocolError("you talk to nobody yet: /join #ROOM or /query NICK")
        return self.target

    # ---- what the user types ----

    def enter(self, line: str, *, reply_to: str | None = None) -> None:
        """Take what was typed: a command, the word ``exit``, else a text to where the user is."""
        try:
            if line.strip() == "exit":
                self.leave()
            elif self._is_command(line):
                commands.run(self, line[1:].rstrip("\n"))
            elif line.strip():
                text = line.removeprefix("/") if line.startswith("//") else line
                self.say(self.need_target(), text, reply_to=reply_to)
        except SecureChatError as error:
            self.show_problem(error)

    def _is_command(self, line: str) -> bool:
        if not line.startswith("/") or line.startswith("//"):
            return False
        # Several lines may be a text that begins with a slash; but what is meant for one person
        # (/msg) must not be said to a room.
        name = (line[1:].lower().split() or [""])[0]
        names = (known for each in self.table.values() for known in (each.name, *each.aliases))
        return "\n" not in line.strip() or name in names

    def answer(self, line: str) -> None:
        """Take the answer to the first question."""
        question = self.questions.pop(0)
        try:
            question.answer(line)
        except SecureChatError as error:
            self.show_problem(error)
            if isinstance(error, LocalProtocolError):
                self.questions.insert(0, question)  # an answer that cannot be used

    def say(
        self, target: str, text: str, kind: TextKind = "message", *, reply_to: str | None = None
    ) -> None:
        """Say ``text`` to a room or person, inside the session if the user knows of one.

        :raises SecureChatError: it was not sent.
        """
        if self.finished:  # it would wait for ever
            raise NetworkError("not connected")
        before = self.outgoing.waiting(target)
        said = self.routes.say(target, text, kind, reply_to=reply_to)
        if said.note:
            self.show_note(said.note)
        if said.delivery is not None:
            self.conversations.show_session_text(target, text, kind, said.delivery)
            return
        after = self.outgoing.waiting(target)
        if len(after) > len(before):
            self.show_outgoing(after[-1:])

    def drop(self, text: OutgoingText) -> None:
        """Forget a text that is not delivered."""
        self.outgoing.drop(text.number)
        self.conversations.forget_outgoing(text)

    def react(self, entry: Entry, reaction: str) -> None:
        """React to a text, or take the reaction back if we have reacted so already.

        :raises SecureChatError: it cannot be reacted to, or we are not connected.
        """
        if entry.msgid is None:
            raise LocalProtocolError(
                "this message cannot be reacted to: the relay has no name for it"
            )
        mine = make_safe(self.client.nick) in (entry.reactions or {}).get(make_safe(reaction), [])
        self.client.react(self.need_target(), entry.msgid, reaction, remove=mine)

    def redact(self, entry: Entry, reason: str = "") -> None:
        """Delete a text for all.

        :raises SecureChatError: it cannot be deleted, or we are not connected.
        """
        if entry.msgid is None:
            raise LocalProtocolError("this message cannot be deleted: the relay has no name for it")
        self.client.redact(self.need_target(), entry.msgid, reason)

    def last_text(self, nick: str = "", *, own: bool = False) -> Entry:
        """Return the newest text where the user is: of ``nick``, of others, or our own.

        :raises LocalProtocolError: there is none.
        """
        safe = make_safe(nick)
        for entry in reversed(self.conversations.current.entries):
            if entry.is_text and entry.msgid is not None and not entry.redacted_by:
                of_them = self.client.same_name(entry.sender, safe) if nick else not entry.own
                if entry.own if own else of_them:
                    return entry
        raise LocalProtocolError("there is no such message here")

    def leave(self, reason: str = FAREWELL) -> None:
        """End."""
        self.farewell = reason.replace("\n", " ")
        self.finished = True

    # ---- what is shown ----

    def show(self, line: str) -> None:
        """Show a line, which must be safe, where the user is."""
        self.conversations.say(self.conversations.current, line)

    def show_note(self, text: str) -> None:
        """Show a note of our own, which must be safe."""
        self.show(f"* {text}")

    def show_problem(self, error: SecureChatError) -> None:
        """Show that something could not be done."""
        self.show(f"! {make_safe(explain(error))}")

    def show_help(self, command: str = "") -> None:
        """Show what there is to know about a command, or about all.

        :raises LocalProtocolError: there is none of that name.
        """
        for line in commands.help_lines(self.table, command):
            self.show(line)

    def show_outgoing(self, texts: Sequence[OutgoingText]) -> None:
        """Show how far texts of our own are."""
        for text in texts:
            self.conversations.show_outgoing(text)

    # ---- questions ----

    @property
    def question(self) -> Question | None:
        """What must be answered now, another object for each question."""
        return self.questions[0] if self.questions else None

    def ask(self, prompt: str, answer: Callable[[str], None], *, secret: bool = False) -> None:
        """Ask the user something; ``prompt`` must be safe."""
        self.questions.append(Question(prompt, secret, answer))

    def void_questions(self) -> None:
        """Forget the questions: they were of a connection that is lost."""
        self.questions.clear()

    def ask_to_register(self, email: str = "") -> None:
        """Ask for a new password, twice, and make an account of the nick.

        :param email: or an invitation code, or an invite link.
        :raises SecureChatError: the link is damaged, or for another relay.
        """
        email = invite_code(email, self.client.relays)
        if not email and self.client.email_required:

            def go_on(given: str) -> None:
                if given.strip():
                    self.ask_to_register(given.strip())
                else:
                    self.show(
                        _("! not registered: this relay wants an invitation code or an e-mail")
                    )

            self.ask(_("Invitation code or e-mail address: "), go_on)
            return
        nick = make_safe(self.client.nick)

        def first(password: str) -> None:
            if not password:
                self.show(_("! not registered: there was no password"))
                return
            prepare_password(password)
            self.ask(_("The same again: "), lambda again: second(password, again), secret=True)

        def second(password: str, again: str) -> None:
            if password != again:
                self.show(_("! not registered: the passwords differ"))
                return
            self._registering = True
            self.client.register(password, email=email or "*")

        self.ask(_("New password for {nick}: ", nick=nick), first, secret=True)

    def ask_to_log_in(self, account: str) -> None:
        """Ask for the password and log in."""

        def answer(password: str) -> None:
            if password:
                self.client.login(account, password)
            elif not self._welcomed:
                self._ask_for_nick()

        name = make_safe(account)
        if self._welcomed:
            prompt = _("Password for {account}: ", account=name)
        else:
            prompt = _("Password for {account} (empty: take another nick): ", account=name)
        self.ask(prompt, answer, secret=True)

    def _ask_for_nick(self) -> None:
        def answer(nick: str) -> None:
            nick = nick.strip()
            if nick == "exit":
                self.leave()
            elif nick and " " not in nick:
                self.client.set_nick(nick)
            else:
                self._ask_for_nick()

        self.ask(_("Your nick: "), answer)

    def _ask_for_account(self) -> None:
        nick = make_safe(self.client.nick)

        def answer(password: str) -> None:
            if password:
                self.client.login(self.client.nick, password)
            else:
                self.ask_to_register()

        prompt = _("Password for {nick} (empty: register it): ", nick=nick)
        self.ask(prompt, answer, secret=True)

    # ---- events ----

    def handle(self, event: Event) -> list[News]:
        """Take what has happened; return what may ask for attention."""
        if isinstance(event, Disconnected) and not event.will_retry:
            self.error = event.error
            self.finished = True
            self.questions.clear()
            return self.conversations.note(event)
        news = self.conversations.note(event)
        self.routes.note(event)
        self.show_outgoing(self.outgoing.note(event))
        self.scrollback.note(event)
        for line in self.desk.note(event):
            self.show(line)
        try:
            self._react(event)
        except SecureChatError as error:  # the connection has gone since
            self.show_problem(error)
        return news

    def _react(self, event: Event) -> None:
        match event:
            case Welcome():
                self._welcome(event)
            case Disconnected():
                self._welcomed = False
                self._asked_for.clear()  # that was asked of the old connection
                self.void_questions()
            case NickRejected() if not self._welcomed:
                if event.reserved:
                    self.ask_to_log_in(event.nick)
                else:
                    self._ask_for_nick()
            case AccountRequired():
                self._ask_for_account()
            case LoginRejected() if not self._welcomed and not event.is_temporary:
                self.ask_to_log_in(event.account)
            case Failure(command="REGISTER") if self._registering and not self._welcomed:
                self._registering = False
                self._ask_for_account()
            case Joined(own=True):
                self._joined(event.channel)
            case NickChanged() if self.client.same_name(event.old, self.target):
                self.set_target(event.new)  # there is a conversation of that name already
            case Parted(own=True) | Kicked(own=True):
                self._left(event.channel)
            case RelaysAnnounced():
                self.learn(event)
            case ChannelRenamed():
                same = self.client.same_name
                self._rooms = [event.new if same(room, event.old) else room for room in self._rooms]
            case _:
                pass

    def _welcome(self, event: Welcome) -> None:
        first, self._welcomed = not self._welcomed, True
        if event.account is None and self.client.offers("draft/account-registration"):
            nick = make_safe(event.nick)
            self.show_note(_("/register keeps the nick {nick} yours", nick=nick))
        if first and not self._channels and not self.target:
            self.show_note(_("/join #ROOM enters a room; /help lists all commands"))

    def _joined(self, channel: str) -> None:
        # The client rejoins by itself, and another device of ours may have joined: the user must
        # not be moved by that. What is typed for one person would be said to a room.
        asked = channel.lower() in self._asked_for
        self._asked_for.discard(channel.lower())
        if not any(self.client.same_name(room, channel) for room in self._rooms):
            self._rooms.append(channel)
        if asked or not self.target:
            self.set_target(channel)

    def _left(self, channel: str) -> None:
        self._rooms = [room for room in self._rooms if not self.client.same_name(room, channel)]
        if self.client.same_name(self.target, channel):
            self.left_room()
