"""Which of our texts the server has taken, and which it has refused.

With ``labeled-response``, ``batch`` and ``echo-message`` each line carries a label, and whatever
comes back with it is the answer; a text of several lines is one message where the server knows
such (``draft/multiline``). Without them a PING follows each text: its PONG says that the
server has handled all that was before; a refusal that names the target belongs to the oldest text
to that target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from securechat.client.events import Delivered, NotDelivered
from securechat.client.session import Session
from securechat.errors import gettext_noop
from securechat.irc.message import NO_TAGS, Message
from securechat.irc.multiline import BATCH_TYPE, CONCAT_TAG, Piece, combined_text, join_pieces

__all__ = ["OPEN_DELIVERIES", "Deliveries"]

OPEN_DELIVERIES: Final = 1000
"""Most texts that wait for an answer: a server that never answers must not fill our memory. A text
beyond it is not sent but reported as not delivered."""

_LABELS: Final = ("labeled-response", "batch", "echo-message")
"""The capabilities with which every text is answered."""

_PING: Final = "delivery-"

_REFUSALS: Final = frozenset(
    {"401", "402", "403", "404", "405", "407", "411", "412", "413", "414", "415", "417", "477"}
    | {"437", "439", "480", "486", "489", "520", "531", "716"}
)
"""Numerics that say, without a label, that a text went nowhere; networks have their own for it."""


@dataclass(slots=True)
class _Open:
    target: str
    unanswered: int


class Deliveries:
    """The texts of one connection that wait for an answer. Owned by the connection's thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[int, _Open] = {}
        self._labels: dict[str, int] = {}

    def send_whole(
        self,
        delivery: int,
        command: str,
        target: str,
        pieces: list[Piece],
        tags: Mapping[str, str] = NO_TAGS,
    ) -> None:
        """Send one text as a message of several lines; ``can_send_whole`` has allowed it."""
        session = self._session
        if not self._begin(delivery, target, 1):
            return
        label = f"{delivery}.0"
        self._labels[label] = delivery
        reference = str(delivery)
        opening = {"label": label, **tags}
        session.say("BATCH", f"+{reference}", BATCH_TYPE, target, tags=opening)
        for text, concat in pieces:
            piece = {"batch": reference} | ({CONCAT_TAG: ""} if concat else {})
            session.say(command, target, text, tags=piece)
        session.say("BATCH", f"-{reference}")

    def can_send_whole(self, pieces: list[Piece]) -> bool:
        """Whether the server takes these as one message, and tells whether it has."""
        session = self._session
        if not session.has(BATCH_TYPE, *_LABELS):
            return False
        limits = dict(
            token.split("=", 1)
            for token in session.offered.get(BATCH_TYPE, "").split(",")
            if "=" in token
        )
        size = len(combined_text(join_pieces(pieces)).encode())
        return size <= _number(limits.get("max-bytes")) and len(pieces) <= _number(
            limits.get("max-lines", str(OPEN_DELIVERIES))
        )

    def send(
        self,
        delivery: int,
        command: str,
        target: str,
        texts: list[str],
        tags: Mapping[str, str] = NO_TAGS,
    ) -> bool:
        """Send the lines of one text, the first with ``tags``; report whether they were sent."""
        session = self._session
        labels = session.has(*_LABELS)
        if not self._begin(delivery, target, len(texts) if labels else 1):
            return False
        for number, text in enumerate(texts):
            if labels:
                label = f"{delivery}.{number}"
                self._labels[label] = delivery
                tags = {"label": label, **tags}
            session.say(command, target, text, tags=tags)
            tags = NO_TAGS
        if not labels:
            session.say("PING", f"{_PING}{delivery}")
        return True

    def _begin(self, delivery: int, target: str, unanswered: int) -> bool:
        if len(self._open) >= OPEN_DELIVERIES:
            text = gettext_noop("too many texts wait for an answer")
            self._session.emit(NotDelivered(delivery, target, "TOO_MANY", text))
            return False
        self._open[delivery] = _Open(target, unanswered)
        return True

    def find(self, label: str) -> int | None:
        """Return the delivery whose text bears that label and is not answered yet."""
        return self._labels.get(label)

    def refused(self, label: str, message: Message) -> bool:
        """Look at an answer with a label; true when it refuses a text of ours."""
        if message.command != "FAIL" and not "400" <= message.command <= "599":
            return False
        delivery = self._labels.pop(label, None)
        if delivery is not None:
            self._refuse(delivery, message)
        return delivery is not None

    def answered(self, label: str) -> None:
        """Take note of any other answer with that label."""
        delivery = self._labels.pop(label, None)
        if delivery is not None:
            self._answered(delivery)

    def unlabelled(self, message: Message) -> bool:
        """Take a refusal without a label; true when it refuses a text of ours."""
        params = message.params
        if message.command == "FAIL":
            if not params or params[0].upper() not in ("PRIVMSG", "NOTICE"):
                return False
        elif message.command not in _REFUSALS:
            return False
        fold = self._session.isupport.fold
        named = {fold(param) for param in params[1:-1]}
        for delivery, waiting in self._open.items():
            if fold(waiting.target) in named:
                self._refuse(delivery, message)
                return True
        return False

    def pong(self, token: str) -> bool:
        """Take the answer to a PING; true when it was one of ours."""
        number = token.removeprefix(_PING)
        if number == token or not (number.isascii() and number.isdigit()):
            return False
        if int(number) in self._open:
            self._answered(int(number))
        return True

    def lost(self, reason: str) -> None:
        """The connection is over: report what is still open."""
        for delivery, waiting in self._open.items():
            self._session.emit(NotDelivered(delivery, waiting.target, "CONNECTION_LOST", reason))
        self._open.clear()
        self._labels.clear()

    def _answered(self, delivery: int) -> None:
        waiting = self._open.get(delivery)
        if waiting is None:  # another of its lines was refused
            return
        waiting.unanswered -= 1
        if waiting.unanswered == 0:
            del self._open[delivery]
            self._session.emit(Delivered(delivery))

    def _refuse(self, delivery: int, message: Message) -> None:
        waiting = self._open.pop(delivery, None)
        if waiting is None:
            return
        code = message.command
        if code == "FAIL":
            code = message.params[1] if len(message.params) > 1 else code
        text = message.params[-1] if message.params else ""
        self._session.emit(NotDelivered(delivery, waiting.target, code, text))


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
