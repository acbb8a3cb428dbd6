"""How a handler answers, and proposes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.message import BODY_BYTES, Message
from securechat.irc.tags import format_tags
from securechat.irc.text import cut_text
from securechat.server.events import Event, Stamp
from securechat.server.refusals import Fail, Refusal
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.services import Services
    from securechat.server.session import Session

__all__ = [
    "LABEL_BYTES",
    "PIECE_LINES",
    "PIECE_STEPS",
    "Context",
    "Elsewhere",
    "as_batch",
    "as_middle",
    "end_line",
    "in_batch",
    "relay_context",
]

LABEL_BYTES: Final = 64
"""Longest label, in bytes: "The value MUST NOT exceed 64 bytes"."""

PIECE_LINES: Final = 128
"""Lines of a long answer that are made at a time: up to 64 KiB, and a millisecond or two."""

PIECE_STEPS: Final = 1_024
"""Steps of it that are taken at a time, with or without a line: others wait for the lock."""

PIECE_S: Final = 0.000_25
"""How long it is worked on at a time, in seconds, whatever the steps cost."""

_LABELS: Final = caps.LABELED_RESPONSE | caps.BATCH


class Elsewhere(NamedTuple):
    """The relay where an event was proposed, and the event's number in the log."""

    relay: int
    sequence: int


class Context:
    """One command of one session, and all that answers it. Guarded by the network lock.

    Answers are collected and sent when the command is done, so that a label, or a batch around
    several lines, is right whatever the handler does. Handlers never touch the connection.

    ``origin`` is the same session, or ``None`` where the relay itself is the cause, or somebody on
    another relay (see ``relay_context``): those who take events on their way ask for it. Then there
    is no ``session``.
    """

    __slots__ = (
        "_arrived",
        "_batch",
        "_first_ticket",
        "_lines",
        "_notes",
        "_posted",
        "_refusals",
        "awaited",
        "elsewhere",
        "held",
        "label",
        "message",
        "origin",
        "services",
        "session",
        "ticket",
    )

    session: Session

    def __init__(self, services: Services, session: Session | None, message: Message) -> None:
        self.services = services
        self.origin = session
        if session is not None:
            self.session = session
        self.message = message
        self.elsewhere: Elsewhere | None = None  # where the event of another relay has come from
        self.held = False
        self.awaited = 0  # events that it has proposed, and that have not come back
        self._posted = 0  # how often answers were posted to the session's thread
        self._arrived = 0  # how many of these have come; of that thread
        self.label = message.tags.get("label", "") if message.tags else ""
        self.ticket = 0
        """Of the last that must be stored before the answers are sent; 0 if nothing must."""
        self._first_ticket = 0
        self._lines: list[tuple[str, str]] = []  # tags, rest
        self._batch = ""  # reference of the batch of a label whose first piece is out
        self._notes: list[str] = []
        self._refusals = 0

    @property
    def user(self) -> User:
        """The user whose session it is; only of a registered one."""
        return self.services.network.sessions[self.session.id]

    @property
    def nick(self) -> str:
        """What numerics call the client: the nick, ``*`` while there is none."""
        user = self.services.network.sessions.get(self.session.id)
        return user.nick if user is not None else self.session.registration.nick or "*"

    # ---- answers ----

    def reply(self, numeric: str, *params: str) -> None:
        """Answer with a numeric; the client's nick is put before ``params``."""
        line = Message(numeric, (self.nick, *params), source=self.services.name).to_line()
        self.numeric_line(line)

    def numeric_line(self, body: str) -> None:
        """Answer with a numeric that is a line already, but for its tags and its end."""
        user = self.services.network.sessions.get(self.session.id)
        self.line(body, user.author.numeric_tags(self.session.caps) if user is not None else "")

    def send(self, command: str, *params: str) -> None:
        """Answer with a message from the relay."""
        self.line(Message(command, params, source=self.services.name).to_line())

    def line(self, body: str, tags: str = "") -> None:
        """Answer with a line, complete but for its end; ``tags`` without ``@``."""
        self._lines.append((tags, body))

    def lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Answer with lines: tags, and the rest of each."""
        self._lines += lines

    def tell(self, text: str) -> None:
        """Answer with words for a person; every client shows a NOTICE."""
        self.send("NOTICE", self.nick, text)

    @contextmanager
    def batch(self, kind: str) -> Iterator[None]:
        """Put the answers that are made inside into a batch of their own."""
        reference, start = self.session.new_batch_reference(), len(self._lines)
        yield
        self._lines[start:] = as_batch(self.services.name, reference, kind, self._lines[start:])

    def fail(self, code: str, *context: str, text: str) -> None:
        """Answer ``FAIL <this command> <code> [<context>…] <text>``."""
        self.send("FAIL", self.message.command, code, *context, text)

    def refuse(self, refusal: Refusal | Fail) -> None:
        """Answer with what a rule or a handler raised."""
        if isinstance(refusal, Refusal):
            params = [as_middle(param) for param in refusal.params]
            self.reply(refusal.numeric, *params, refusal.text)
        else:
            self.send("FAIL", *refusal.params)
        self._refusals += 1
        if self._refusals == 1:  # one command can be refused for hundreds of targets
            self.note(f"refused {self._known_command}: {refusal}")

    @property
    def _known_command(self) -> str:
        command = self.message.command  # an unknown one may be the first word of a message
        return command if command in self.services.commands else "*"

    def note(self, text: str) -> None:
        """Write a line to the relay's log, once the lock is released."""
        self._notes.append(text)

    def take_notes(self) -> list[str]:
        """Return the lines for the log; they are taken once."""
        notes, self._notes = self._notes, []
        return notes

    # ---- the store ----

    @property
    def acknowledges(self) -> bool:
        """Whether the client hears that a message of it was taken: by an echo, or by its label."""
        return self.session.caps & caps.ECHO_MESSAGE != 0 or self._labelled

    def wait_for_store(self, first: int, last: int) -> None:
        """Send the answers when what has these tickets is stored; say so if it could not be."""
        self._first_ticket = self._first_ticket or first
        self.ticket = last

    def waits_for(self, first: int, last: int) -> bool:
        """Whether the answers wait for any of these tickets."""
        return self.ticket >= first and self._first_ticket <= last

    def not_stored(self) -> bytes:
        """Return what is answered in place of the rest: what was said was not kept."""
        text = "This was sent, but could not be kept in the history"
        if self.session.caps & caps.STANDARD_REPLIES:
            self.fail("NOT_KEPT", text=text)
        else:
            self.send("NOTICE", self.nick, f"{self.message.command}: {text}")
        return self._take_answers()

    def check_store(self, *about: str) -> None:
        """Refuse a command whose effect must last, while the store can keep nothing.

        Before anything is done, and only where the client can be told: the chat itself goes on.

        :param about: what the refusal has before its text.
        :raises Fail: nothing can be kept.
        """
        if self.services.store.trouble:
            text = "Nothing can be kept at the moment; try again later"
            raise Fail(self.message.command, "TEMPORARILY_UNAVAILABLE", *about, text=text)

    # ---- events ----

    def stamp(self) -> Stamp:
        """Return the stamp of an event of this session, now."""
        return self.services.stamp(self.session.id)

    def propose(
        self,
        event: Event,
        then: Callable[[], None] | None = None,
        refused: Callable[[Refusal | Fail], None] | None = None,
    ) -> None:
        """Propose ``event``; once it is applied and its effects are on their way, call ``then``.

        If it cannot be, call ``refused``, which by default answers with why. Either is called under
        the network lock: before this returns where there is one relay, later, while the session is
        held, where there are several. A handler may propose more meanwhile.
        """
        self.services.event_log.propose(event, self, then, refused or self.refuse)

    # ---- commands that wait ----

    def hold(self) -> None:
        """Handle no further line of this session until ``resume``; other sessions go on."""
        self.held = True
        self.session.held = True

    def resume(self, work: Callable[[], None], *, anyway: bool = False) -> None:
        """Go on with a held command: call ``work`` on the session's thread, under the lock.

        Safe from any thread. ``work`` may hold again. When the session has ended meanwhile, nothing
        happens, unless ``anyway``: for what others must know whatever became of the session.
        """
        session = self.session
        session.connection.thread.post(lambda: session.resume(self, work, anyway=anyway))

    # ---- for the log ----

    def await_event(self) -> None:
        """Take note that an event was proposed which will come back: the session waits for it."""
        self.awaited += 1
        self.session.await_event()

    def event_is_back(self) -> None:
        """Take note that an event has come back, and send what it has been answered.

        Safe from any thread that holds the network lock. The answers go the way that all takes that
        is delivered to the session, so that what was first in the log is seen first.
        """
        self.awaited -= 1
        waits = self.held or self.awaited > 0
        answers, notes = (self._take_piece(), []) if waits else self._take_rest()
        self.session.event_is_back()
        self._post(answers, notes)

    def has_arrived(self) -> None:
        """Take note that answers have come to the session's thread. On that."""
        self._arrived += 1

    def _post(self, answers: bytes, notes: Iterable[str]) -> None:
        session = self.session
        self._posted += 1
        session.connection.thread.post(lambda: session.events_are_back(answers, notes, self))

    def _answer(self, answers: bytes) -> None:
        """Send answers to the session, after those that are on their way to its thread."""
        if self._arrived < self._posted:
            self.session.expect_answers()
            self._post(answers, ())
        else:
            self.session.answer(answers, self)

    # ---- for the dispatcher ----

    def work_through(self, steps: Iterator[None]) -> None:
        """Take the steps of an answer that may be long: some now, more when the client has these.

        Between the pieces others have their turn, and the state may change.
        """
        clock = self.services.clock
        end = clock() + PIECE_S
        for taken, _ in enumerate(steps, 1):
            if len(self._lines) >= PIECE_LINES or taken == PIECE_STEPS or clock() >= end:
                self.hold()
                self._answer(self._take_piece())
                self.session.go_on_when_sent(self, lambda: self.work_through(steps))
                return

    def finish(self) -> list[str]:
        """Send the answers; return the notes for the log."""
        if self.held or self.awaited:
            return []
        if not (self._lines or self.label or self._notes):  # as for most messages
            return []
        answers, notes = self._take_rest()
        if answers:
            self._answer(answers)
        return notes

    @property
    def _labelled(self) -> bool:
        label = self.label
        if not label or self.session.caps & _LABELS != _LABELS:
            return False
        return len(label.encode()) <= LABEL_BYTES

    def _take_rest(self) -> tuple[bytes, list[str]]:
        """Return what is still to be sent, and the notes for the log."""
        answers, notes = self._take_answers(), self.take_notes()
        if self._refusals > 1:
            notes += [f"refused {self._known_command}: {self._refusals} times in all"]
        self._refusals = 0
        return answers, notes

    def _take_answers(self) -> bytes:
        if self._batch:  # the last piece of a long answer
            self._lines = self._labelled_batch(self._batch)[1:]
        elif self._labelled:
            self._apply_label()
        return self._take_lines()

    def _take_piece(self) -> bytes:
        if self._batch:
            self._lines = self._labelled_batch(self._batch)[1:-1]
        elif self._labelled:
            self._batch = self.session.new_batch_reference()
            self._lines = self._labelled_batch(self._batch)[:-1]
        return self._take_lines()

    def _labelled_batch(self, reference: str) -> list[tuple[str, str]]:
        name = self.services.name
        return as_batch(name, reference, "labeled-response", self._lines, self._label_tag)

    @property
    def _label_tag(self) -> str:
        return format_tags({"label": self.label})

    def _take_lines(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join(end_line(*line) for line in lines)

    def _apply_label(self) -> None:
        lines, tag = self._lines, self._label_tag
        if not lines:
            self._lines = [(tag, f":{self.services.name} ACK")]
        elif len(lines) == 1 or _is_batch(lines):
            tags, body = lines[0]
            self._lines = [(f"{tag};{tags}" if tags else tag, body), *lines[1:]]
        else:
            self._lines = self._labelled_batch(self.session.new_batch_reference())


def relay_context(services: Services) -> Context:
    """Return the context of an event of the relay itself: nobody is answered.

    Guarded by the network lock; its notes are to be written after that.
    """
    return Context(services, None, Message("*"))


def end_line(tags: str, body: str) -> bytes:
    """Return the bytes of a line: cut to the limit between characters, with its end."""
    data = body.encode()
    if len(data) > BODY_BYTES:
        data = cut_text(body, BODY_BYTES).encode()
    return b"@%b %b\r\n" % (tags.encode(), data) if tags else data + b"\r\n"


def in_batch(reference: str, lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return ``lines`` (tags, rest) as the content of an open batch.

    Those inside a batch of their own have its tag, as the first one, and keep it.
    """
    tag = f"batch={reference}"
    return [
        (tags if tags.startswith("batch=") else f"{tag};{tags}" if tags else tag, body)
        for tags, body in lines
    ]


def as_batch(
    relay: str, reference: str, kind: str, lines: Iterable[tuple[str, str]], tags: str = ""
) -> list[tuple[str, str]]:
    """Return ``lines`` as a batch of the relay, with ``tags`` on its start.

    :param kind: the type, and the parameters after it.
    """
    return [
        (tags, f":{relay} BATCH +{reference} {kind}"),
        *in_batch(reference, lines),
        ("", f":{relay} BATCH -{reference}"),
    ]


def _is_batch(lines: Sequence[tuple[str, str]]) -> bool:
    """Whether ``lines`` are one batch and nothing else."""
    _, verb, start, *_ = [*lines[0][1].split(" ", 3), "", ""]
    if verb != "BATCH" or not start.startswith("+"):
        return False
    return lines[-1][1].split(" ")[1:] == ["BATCH", f"-{start[1:]}"]


def as_middle(text: str) -> str:
    """Return what a client sent as a parameter that need not be the last; ``*`` if it cannot be."""
    return text if text and text[0] != ":" and " " not in text else "*"
