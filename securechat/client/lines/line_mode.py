"""The line interface: lines from the user in, lines for the screen out.

It is a ``Chat`` whose news are lines, and knows no terminal. ``terminal`` gives it what the user
types and shows what it has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from securechat.client.chat.buffers import Entry
from securechat.client.chat.chat import Chat
from securechat.client.chat.conversations import News
from securechat.client.chat.outgoing import OutgoingText
from securechat.client.client import Client
from securechat.client.commands import dispatch as commands
from securechat.client.events import (
    Disconnected,
    Event,
    NotDelivered,
    Reacted,
    RelaysAnnounced,
    TextReceived,
)
from securechat.client.words.peer_wording import LOCK, describe_path
from securechat.client.words.refusals import reason
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _

__all__ = ["LineMode"]

_EXCERPT: Final = 60
"""How many characters of a text show which is meant."""

_LATER: Final = frozenset({"NOT_CONNECTED", "CONNECTION_LOST"})
"""Why a text was not delivered that is kept for later."""


class LineMode(Chat):
    """One person at one client. Owned by the thread of the terminal.

    :param remember: keeps for the next start which relays there are.
    """

    def __init__(
        self,
        client: Client,
        *,
        channels: Sequence[str],
        clock: Callable[[], datetime],
        remember: Callable[[RelaysAnnounced], object] = lambda event: None,
    ) -> None:
        super().__init__(client, channels=channels, clock=clock)
        self._remember = remember
        self._output: list[str] = []
        self._refused = False  # what was refused is told already

    # ---- what the terminal asks for ----

    @property
    def prompt(self) -> str:
        """What stands before the line being typed."""
        if self.question is not None:
            return self.question.prompt
        if not self.target:
            return "> "
        session = self.routes.state(self.target)
        how = f" {LOCK} {describe_path(session)}" if session is not None else ""
        return f"[{make_safe(self.target)}{how}] "

    @property
    def secret(self) -> bool:
        """Whether what is typed now must not be shown."""
        return self.question is not None and self.question.secret

    def take_output(self) -> list[str]:
        """Return the lines to show, and forget them."""
        output, self._output = self._output, []
        return output

    def handle_line(self, line: str) -> None:
        """Take what the user has typed."""
        if self.question is not None:
            self.answer(line)
        else:
            self.enter(line)

    def handle_events(self) -> None:
        """Take what has happened."""
        while not self.finished and (event := self.client.poll()) is not None:
            self.handle(event)

    # ---- what is shown ----

    def show(self, line: str) -> None:
        """Show a line, which must be safe."""
        self._output.append(line)

    def show_note(self, text: str) -> None:
        """Show a note of our own, which must be safe, with the time."""
        self.show(self.wording.note(text))

    def show_help(self, command: str = "") -> None:
        """Show what there is to know about a command, or about all.

        :raises LocalProtocolError: there is none of that name.
        """
        self._output += commands.help_lines(self.table, command)

    def show_outgoing(self, texts: Sequence[OutgoingText]) -> None:
        """Say what becomes of texts that are not delivered at once."""
        super().show_outgoing(texts)
        for text in texts:
            if text.state == "waiting":
                kept = _("kept until it can be said: {text}", text=_excerpt(text.text))
                self.show_note(kept)
            elif text.state == "unsure":
                words = _(
                    "not known whether this has arrived: {text}; /unsent again says it again",
                    text=_excerpt(text.text),
                )
                self.show(f"! {words}")
            elif text.state == "refused" and not self._refused:
                target, why = make_safe(text.target), reason(text.reason)
                words = _("not delivered to {target}: {reason}", target=target, reason=why)
                self.show(f"! {words}")

    # ---- events ----

    def handle(self, event: Event) -> list[News]:
        """Take what has happened, and say it."""
        if isinstance(event, Disconnected) and not event.will_retry:
            return super().handle(event)
        if not self._is_shown(event):
            if isinstance(event, TextReceived):
                self._show_answered(event)
            line = self.wording.line(event, self.target)
            if line:
                self.show(line)
        self._refused = isinstance(event, NotDelivered)
        news = super().handle(event)
        self._refused = False
        if isinstance(event, Reacted):
            self._show_reaction(event)
        return news

    def _is_shown(self, event: Event) -> bool:
        """Whether there is nothing to add: a text comes again, or is kept for later."""
        match event:
            case TextReceived(replayed=True):
                return self._find(event.conversation, event.msgid) is not None
            case NotDelivered():
                return event.code in _LATER
            case _:
                return False

    def _show_answered(self, event: TextReceived) -> None:
        """Say which text is answered by the one that is shown next."""
        answered = self._find(event.conversation, event.reply_to)
        if answered is not None and answered.text:
            words = _(
                "{nick} answers {other}: {text}",
                nick=make_safe(event.sender),
                other=answered.sender,
                text=_excerpt(answered.text),
            )
            self.show_note(words)

    def _show_reaction(self, event: Reacted) -> None:
        entry = self._find(event.conversation, event.msgid)
        if entry is None or event.replayed or event.removed:
            return
        words = _(
            "{nick} reacts to {other} with {reaction}: {text}",
            nick=make_safe(event.nick),
            other=entry.sender,
            reaction=make_safe(event.reaction),
            text=_excerpt(entry.text),
        )
        self.show_note(words)

    def _find(self, conversation: str, msgid: str | None) -> Entry | None:
        buffer = self.conversations.get(conversation)
        return buffer.find(msgid) if buffer is not None and msgid is not None else None

    def learn(self, event: RelaysAnnounced) -> None:
        """A relay has said which there are: keep it for the next start."""
        self._remember(event)

    # ---- questions ----

    def void_questions(self) -> None:
        """Forget the questions, and the line that is being typed for the first of them.

        Whoever is in the middle of a password goes on typing: what comes up to Enter must not be
        said to the room. A question of its own takes it.
        """
        if self.questions:
            self.questions.clear()
            self.ask(_("The question is void; Enter goes on. "), self._leave_on_exit, secret=True)

    def _leave_on_exit(self, line: str) -> None:
        if line.strip() == "exit":
            self.leave()


def _excerpt(text: str) -> str:
    line = make_safe(" ".join(text.split()))
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"
