"""The line interface: lines from the user in, lines for the screen out.

It knows the events and methods of ``Client`` and no terminal. ``terminal`` gives it what the user
types and shows what it has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securechat.client import commands
from securechat.client.client import Client
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
    Welcome,
)
from securechat.client.peer_desk import PeerDesk
from securechat.client.peer_wording import LOCK
from securechat.client.routing import Routes
from securechat.client.safe_text import make_safe
from securechat.client.wording import Wording
from securechat.errors import LocalProtocolError, SecureChatError
from securechat.irc.sasl import prepare_password
from securechat.peer.records import TextKind

__all__ = ["LineMode"]

_NOWHERE: Final = "you talk to nobody yet: /join #ROOM or /query NICK"
_VOID: Final = "The question is void; Enter goes on. "


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: str
    secret: bool
    answer: Callable[[str], None]


class LineMode:
    """One person at one client. Owned by the thread of the terminal.

    :param client: interactive, and started by somebody else.
    :param channels: what the client joins by itself.
    :param clock: the local time.
    """

    def __init__(
        self, client: Client, *, channels: Sequence[str], clock: Callable[[], datetime]
    ) -> None:
        self.client = client
        self.target = ""  # the channel or nick that is talked to
        self.finished = False
        self.farewell = "leaving"
        self.error: SecureChatError | None = None  # why it ended, if not by the user
        self.desk = PeerDesk(client)
        self._channels = channels
        self._wording = Wording(client, clock)
        self._routes = Routes(client)
        self._rooms: list[str] = []  # joined, in their order; rejoined after a lost connection
        self._questions: list[_Question] = []
        self._output: list[str] = []
        self._welcomed = False
        self._registering = False

    # ---- what the terminal asks for ----

    @property
    def prompt(self) -> str:
        """What stands before the line being typed."""
        if self._questions:
            return self._questions[0].prompt
        if not self.target:
            return "> "
        session = self._routes.state(self.target)
        how = f" {LOCK} {session}" if session is not None else ""
        return f"[{make_safe(self.target)}{how}] "

    @property
    def question(self) -> object | None:
        """What the next line answers, another object for each question; ``None``: the chat."""
        return self._questions[0] if self._questions else None

    @property
    def secret(self) -> bool:
        """Whether what is typed now must not be shown."""
        return bool(self._questions) and self._questions[0].secret

    def take_output(self) -> list[str]:
        """Return the lines to show, and forget them."""
        output, self._output = self._output, []
        return output

    def handle_line(self, line: str) -> None:
        """Take what the user has typed."""
        question = self._questions.pop(0) if self._questions else None
        try:
            if question is not None:
                question.answer(line)
            elif line.strip() == "exit":
                self.leave()
            elif line.startswith("/") and not line.startswith("//"):
                commands.run(self, line[1:])
            elif line.strip():
                self.say(self.need_target(), line.removeprefix("/"))
        except SecureChatError as error:
            self.show(f"! {make_safe(str(error))}")
            if question is not None and isinstance(error, LocalProtocolError):
                self._questions.insert(0, question)  # an answer that cannot be used

    def handle_events(self) -> None:
        """Take what has happened."""
        while not self.finished and (event := self.client.poll()) is not None:
            self._handle(event)

    # ---- what commands ask for ----

    def show(self, line: str) -> None:
        """Show a line, which must be safe."""
        self._output.append(line)

    def show_note(self, text: str) -> None:
        """Show a note of our own, which must be safe, with the time."""
        self.show(self._wording.note(text))

    def show_help(self, command: str = "") -> None:
        """Show what there is to know about a command, or about all.

        :raises LocalProtocolError: there is none of that name.
        """
        self._output += commands.help_lines(command)

    def say(self, target: str, text: str, kind: TextKind = "message") -> None:
        """Say ``text`` to a channel or person, inside the session if the user knows of one.

        :raises SecureChatError: it was not sent.
        """
        note = self._routes.say(target, text, kind)
        if note:
            self.show_note(make_safe(note))

    def need_target(self) -> str:
        """Return who is talked to.

        :raises LocalProtocolError: nobody.
        """
        if not self.target:
            raise LocalProtocolError(_NOWHERE)
        return self.target

    def set_target(self, target: str) -> None:
        """Talk to ``target`` from now on; empty goes back to the last room."""
        self.target = target or (self._rooms[-1] if self._rooms else "")

    def leave(self, reason: str = "leaving") -> None:
        """End."""
        self.farewell = reason
        self.finished = True

    def ask_to_register(self, email: str = "") -> None:
        """Ask for a new password, twice, and make an account of the nick."""
        if not email and self.client.email_required:

            def go_on(given: str) -> None:
                if given.strip():
                    self.ask_to_register(given.strip())
                else:
                    self.show("! not registered: this relay wants an invitation code or an e-mail")

            self._ask("Invitation code or e-mail address: ", go_on)
            return
        nick = make_safe(self.client.nick)

        def first(password: str) -> None:
            if not password:
                self.show("! not registered: there was no password")
                return
            prepare_password(password)
            self._ask("The same again: ", lambda again: second(password, again), secret=True)

        def second(password: str, again: str) -> None:
            if password != again:
                self.show("! not registered: the passwords differ")
                return
            self._registering = True
            self.client.register(password, email=email or "*")

        self._ask(f"New password for {nick}: ", first, secret=True)

    def ask_to_log_in(self, account: str) -> None:
        """Ask for the password and log in."""

        def answer(password: str) -> None:
            if password:
                self.client.login(account, password)
            elif not self._welcomed:
                self._ask_for_nick()

        hint = "" if self._welcomed else " (empty: take another nick)"
        self._ask(f"Password for {make_safe(account)}{hint}: ", answer, secret=True)

    # ---- questions ----

    def _ask(self, prompt: str, answer: Callable[[str], None], *, secret: bool = False) -> None:
        self._questions.append(_Question(prompt, secret, answer))

    def _void_questions(self) -> None:
        """Forget the questions, and the line that is being typed for the first of them.

        Whoever is in the middle of a password goes on typing: what comes up to Enter must not be
        said to the room. A question of its own takes it.
        """
        if self._questions:
            self._questions.clear()
            self._ask(_VOID, self._leave_on_exit, secret=True)

    def _leave_on_exit(self, line: str) -> None:
        if line.strip() == "exit":
            self.leave()

    def _ask_for_nick(self) -> None:
        def answer(nick: str) -> None:
            nick = nick.strip()
            if nick == "exit":
                self.leave()
            elif nick and " " not in nick:
                self.client.set_nick(nick)
            else:
                self._ask_for_nick()

        self._ask("Your nick: ", answer)

    def _ask_for_account(self) -> None:
        nick = make_safe(self.client.nick)

        def answer(password: str) -> None:
            if password:
                self.client.login(self.client.nick, password)
            else:
                self.ask_to_register()

        self._ask(f"Password for {nick} (empty: register it): ", answer, secret=True)

    # ---- events ----

    def _handle(self, event: Event) -> None:
        if isinstance(event, Disconnected) and not event.will_retry:
            self.error = event.error
            self.finished = True
            return
        line = self._wording.line(event, self.target)
        if line:
            self.show(line)
        self._routes.note(event)
        for news in self.desk.note(event):
            self.show(news)
        try:
            self._react(event)
        except SecureChatError as error:  # the connection has gone since
            self.show(f"! {make_safe(str(error))}")

    def _react(self, event: Event) -> None:
        match event:
            case Welcome():
                self._welcome(event)
            case Disconnected():
                self._welcomed = False
                self._void_questions()
            case NickRejected() if not self._welcomed:
                if event.reserved:
                    self.ask_to_log_in(event.nick)
                else:
                    self._ask_for_nick()
            case AccountRequired():
                self._ask_for_account()
            case LoginRejected() if not self._welcomed:
                self.ask_to_log_in(event.account)
            case Failure(command="REGISTER") if self._registering and not self._welcomed:
                self._registering = False
                self._ask_for_account()
            case Joined(own=True) if not self._is_in(event.channel):
                self._rooms.append(event.channel)
                self.set_target(event.channel)
            case Parted(own=True) | Kicked(own=True):
                self._left(event.channel)
            case ChannelRenamed():
                same = self.client.same_name
                rooms = self._rooms
                self._rooms = [event.new if same(room, event.old) else room for room in rooms]
                if same(self.target, event.old):
                    self.set_target(event.new)
            case NickChanged() if self.client.same_name(event.old, self.target):
                self.target = event.new
            case _:
                pass

    def _welcome(self, event: Welcome) -> None:
        first, self._welcomed = not self._welcomed, True
        if event.account is None and self.client.offers("draft/account-registration"):
            self.show_note(f"/register keeps the nick {make_safe(event.nick)} yours")
        if first and not self._channels and not self.target:
            self.show_note("/join #ROOM enters a room; /help lists all commands")

    def _is_in(self, channel: str) -> bool:
        # The client rejoins by itself. Whoever talks elsewhere meanwhile must not be moved: what is
        # typed for one person would be said to a room.
        return any(self.client.same_name(room, channel) for room in self._rooms)

    def _left(self, channel: str) -> None:
        self._rooms = [room for room in self._rooms if not self.client.same_name(room, channel)]
        if self.client.same_name(self.target, channel):
            self.set_target("")
