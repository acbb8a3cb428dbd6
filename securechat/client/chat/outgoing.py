"""Texts that survive a lost connection: they wait, and are sent once.

Each text has a mark, which comes back with it out of the history. So when a connection is lost
before a text was acknowledged, one can look whether the server has it::

    state      what is known                                        and then
    ─────────  ───────────────────────────────────────────────────  ─────────────────────────────
    waiting    it is not sent: we are not connected, or not back    is sent as soon as it can be
               in the room, or an earlier text waits too
    sent       there is no acknowledgement (yet): after a lost      delivered, refused, waiting
               connection the history is asked                      (once) or unsure
    unsure     it may have arrived, and the history cannot tell     the user decides
    refused    the server does not take it                          the user decides
    delivered  the server has it

That a text is *not* in the history says something only where all is there that came after a message
from before: that was seen in the conversation, or else the beginning. And nobody but an account has
a history of what was said to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from securechat.client.client import Client
from securechat.client.events import (
    ChannelRenamed,
    Delivered,
    Disconnected,
    Event,
    Failure,
    HistoryItem,
    HistoryReceived,
    Joined,
    Kicked,
    NickChanged,
    NotDelivered,
    Parted,
    RequestFailed,
    TextReceived,
    Welcome,
)
from securechat.client.interpret import MARK_TAG
from securechat.client.protocol import SentKind, check_text, text_tags
from securechat.client.words.translation import explain, gettext_noop
from securechat.errors import LocalProtocolError, NetworkError

__all__ = [
    "HISTORY_LIMIT",
    "HISTORY_PAGES",
    "WAITING_LIMIT",
    "Outgoing",
    "OutgoingState",
    "OutgoingText",
]

WAITING_LIMIT: Final = 200
"""Most texts that wait to be sent: far above what a person types while a train is in a tunnel, and
a program that says more without a connection is told so."""

HISTORY_LIMIT: Final = 100
"""Most messages of a page in which a text is looked for, as many as servers commonly give."""

HISTORY_PAGES: Final = 10
"""Most pages that are looked through: when a relay was restarted, everybody comes back at once, and
the history tells of each."""

_CONVERSATIONS: Final = 1_000
"""Most conversations of which the latest message is kept in mind: strangers can begin any number.
Those quiet for longest are forgotten; without one the whole history is looked through."""

_JOIN_REFUSED: Final = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477"})
"""Numerics that say that we cannot come back into a room."""

OutgoingState = Literal["waiting", "sent", "unsure", "refused", "delivered"]


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """A text and what has become of it. Immutable. ``number`` stays the same.

    ``reason``: why it is ``refused`` or ``unsure``, maybe in the server's words.
    """

    number: int
    target: str
    text: str
    kind: SentKind
    reply_to: str | None
    mark: str
    state: OutgoingState
    reason: str = ""


@dataclass(slots=True)
class _Open:
    text: OutgoingText
    delivery: int | None = None  # of the last sending
    request: int | None = None  # for the page of history that will tell
    account: str | None = None  # as which it was sent
    after: str | None = None  # what was seen last before it was sent, or looked through already
    pages: int = 0  # that were looked through
    lost: bool = False  # the connection was, before an answer
    again: bool = False  # it was sent a second time by itself

    @property
    def blocks(self) -> bool:
        """Whether later texts to the same target must not overtake it."""
        return self.text.state == "waiting" or self.lost


class Outgoing:
    """What somebody has said and is not delivered yet. Owned by the user interface's thread.

    :param make_mark: returns a fresh mark for a text, hard to guess.
    """

    def __init__(self, client: Client, make_mark: Callable[[], str]) -> None:
        self._client = client
        self._make_mark = make_mark
        self._open: dict[int, _Open] = {}  # in the order of saying
        self._last_number = 0
        self._online = False
        self._joined: list[str] = []
        self._left_behind: list[str] = []  # rooms that we were in and are not back in yet
        self._latest: dict[str, str] = {}  # lower case of a conversation → a reference
        self._requests: set[int] = set()  # all that there ever were: few, and small
        self._changed: dict[int, OutgoingText] = {}

    # ---- what the user does ----

    def say(
        self, target: str, text: str, kind: SentKind = "message", reply_to: str | None = None
    ) -> OutgoingText:
        """Say ``text``: now if that is possible, else later.

        :raises LocalProtocolError: it cannot be said, or over ``WAITING_LIMIT`` texts wait.
        """
        mark = self._make_mark()
        check_text(target, text)
        text_tags(reply_to, mark)
        waiting = sum(one.text.state == "waiting" for one in self._open.values())
        if waiting >= WAITING_LIMIT:
            raise LocalProtocolError("over {limit} texts wait to be sent", limit=WAITING_LIMIT)
        self._last_number += 1
        said = OutgoingText(self._last_number, target, text, kind, reply_to, mark, "waiting")
        one = self._open[said.number] = _Open(said)
        self._send_ready()
        return self._after(one)

    def again(self, number: int) -> OutgoingText:
        """Send a text again that is ``unsure`` or ``refused``, by the user's wish.

        :raises LocalProtocolError: there is no such text.
        """
        one = self._open.get(number)
        if one is None or one.text.state not in ("unsure", "refused"):
            raise LocalProtocolError("there is no text to send again")
        one.again = False
        self._set(one, "waiting")
        self._send_ready()
        return self._after(one)

    def drop(self, number: int) -> None:
        """Forget a text; one that is sent is not taken back. Unknown numbers are no error."""
        self._open.pop(number, None)
        self._send_ready()  # what has waited behind it

    def waiting(self, target: str) -> list[OutgoingText]:
        """Return the texts to ``target`` that are not delivered, in the order of saying."""
        same = self._client.same_name
        return [one.text for one in self._open.values() if same(one.text.target, target)]

    def is_mine(self, event: HistoryReceived | RequestFailed) -> bool:
        """Whether we have asked for that; also after ``note``."""
        return event.request in self._requests

    # ---- what happens ----

    def note(self, event: Event) -> list[OutgoingText]:
        """Take note of an event: of each that comes. Return the texts that it has changed; those
        delivered are forgotten.
        """
        match event:
            case Delivered() | NotDelivered():
                self._note_answer(event)
            case TextReceived():
                self._note_text(event)
            case HistoryReceived():
                self._note_page(event)
            case RequestFailed():
                self._note_failure(event)
            case _:
                self._note_place(event)
        self._ask_ready()
        self._send_ready()
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def _note_answer(self, event: Delivered | NotDelivered) -> None:
        for one in list(self._open.values()):
            if one.delivery != event.delivery:
                continue
            one.delivery = None
            if isinstance(event, Delivered):
                self._deliver(one)
            elif event.code == "NOT_CONNECTED":
                self._set(one, "waiting")
            elif event.code == "CONNECTION_LOST":
                one.lost = True
                self._offline()
            else:
                self._set(one, "refused", event.text)

    def _note_text(self, event: TextReceived) -> None:
        self._deliver_found([event])
        if event.msgid is not None and event.conversation:
            self._latest.pop(event.conversation.lower(), None)
            self._keep_in_mind(event.conversation, f"msgid={event.msgid}")

    def _keep_in_mind(self, conversation: str, reference: str) -> None:
        self._latest.setdefault(conversation.lower(), reference)
        if len(self._latest) > _CONVERSATIONS:
            del self._latest[next(iter(self._latest))]

    def _note_page(self, event: HistoryReceived) -> None:
        self._deliver_found(event.items)
        for one in self._asked(event.request):
            one.pages += 1
            more = not event.complete and one.after is not None and one.pages < HISTORY_PAGES
            whole = event.complete and (one.after is not None or self._as_same_account(one))
            if more and event.newest is not None:
                one.after, one.lost = event.newest, True
            elif whole and not one.again:
                one.again = True
                self._set(one, "waiting")
            else:
                self._set(one, "unsure", _UNSURE)
        if event.newest is not None:
            self._keep_in_mind(event.conversation, event.newest)

    def _note_failure(self, event: RequestFailed) -> None:
        for one in self._asked(event.request):
            if event.code == "CONNECTION_LOST":
                one.lost = True
                self._offline()
            else:
                self._set(one, "unsure", _UNSURE)

    def _note_place(self, event: Event) -> None:
        match event:
            case Welcome():
                self._online = True
            case Disconnected():
                self._offline()
            case Joined(own=True):
                self._forget_room(event.channel)
                self._joined.append(event.channel)
            case Parted(own=True) | Kicked(own=True):
                self._forget_room(event.channel)
            case ChannelRenamed():
                self._rename(event.old, event.new)
            case NickChanged(own=False):
                self._rename(event.old, event.new)
            case Failure() if event.code in _JOIN_REFUSED or event.command == "JOIN":
                self._not_back(event)
            case _:
                pass

    def _offline(self) -> None:
        self._online = False
        self._left_behind += self._joined
        self._joined = []

    def _not_back(self, event: Failure) -> None:
        for room in [room for room in self._left_behind if self._is_any(room, event.context)]:
            self._left_behind.remove(room)
            for one in self._to(room):
                if one.text.state == "waiting":
                    self._set(one, "refused", event.text)

    # ---- looking whether a text has arrived ----

    def _ask_ready(self) -> None:
        """Ask the history for the texts that were on their way when a connection was lost."""
        lost = [one for one in self._open.values() if one.lost and one.request is None]
        while lost:
            target = lost[0].text.target
            together = [one for one in lost if self._client.same_name(one.text.target, target)]
            lost = [one for one in lost if one not in together]
            if self._ready(target):
                self._ask(together)

    def _ask(self, lost: list[_Open]) -> None:
        first = lost[0]
        can_tell = all(map(self._can_tell, lost))
        try:
            if not can_tell and self._client.online:  # offline nothing can tell, for the moment
                raise LocalProtocolError("the history cannot tell whether a text is there")
            request = self._client.history(
                first.text.target, after=first.after, limit=HISTORY_LIMIT
            )
        except NetworkError:
            return  # the next welcome is the time
        except LocalProtocolError:
            for one in lost:
                self._set(one, "unsure", _UNSURE)
            return
        self._requests.add(request)
        for one in lost:
            one.request, one.after = request, first.after

    def _can_tell(self, one: _Open) -> bool:
        to_room = self._client.is_channel(one.text.target)
        return self._client.passes(MARK_TAG) and (to_room or self._as_same_account(one))

    def _as_same_account(self, one: _Open) -> bool:
        return one.account is not None and one.account == self._client.account

    def _asked(self, request: int) -> list[_Open]:
        """Return the texts that were looked for by a request, which is answered now."""
        found = [one for one in self._open.values() if one.request == request]
        for one in found:
            one.request, one.lost = None, False
        return found

    def _deliver_found(self, items: Iterable[HistoryItem]) -> None:
        """Take note of what is there: who has a mark of ours, whoever it is, has seen our text."""
        marks = {item.mark for item in items if isinstance(item, TextReceived)}
        for one in list(self._open.values()):
            # The first of several messages says nothing of those that may still be refused.
            answered = one.delivery is None and one.text.state != "refused"
            if answered and one.text.mark in marks:
                self._deliver(one)

    # ---- sending ----

    def _send_ready(self) -> None:
        blocked: list[str] = []
        for one in list(self._open.values()):
            target = one.text.target
            first = not self._is_any(target, blocked)
            if one.text.state == "waiting" and first and self._ready(target):
                self._send(one)
            if one.blocks:
                blocked.append(target)

    def _send(self, one: _Open) -> None:
        text, client = one.text, self._client
        ways = {"message": client.send, "action": client.action, "notice": client.notice}
        try:
            one.delivery = ways[text.kind](
                text.target, text.text, reply_to=text.reply_to, mark=text.mark
            )
        except NetworkError:
            return  # it goes on waiting
        except LocalProtocolError as error:
            self._set(one, "refused", explain(error))
            return
        one.account, one.pages = client.account, 0
        one.after = self._latest.get(text.target.lower())
        self._set(one, "sent")

    def _ready(self, target: str) -> bool:
        return self._online and not self._is_any(target, self._left_behind)

    # ---- small things ----

    def _deliver(self, one: _Open) -> None:
        del self._open[one.text.number]
        self._set(one, "delivered")

    def _set(self, one: _Open, state: OutgoingState, reason: str = "") -> None:
        one.lost = False
        one.text = replace(one.text, state=state, reason=reason)
        self._changed[one.text.number] = one.text

    def _after(self, one: _Open) -> OutgoingText:
        """Return a text that the caller has changed: that is not told again."""
        self._changed.pop(one.text.number, None)
        return one.text

    def _rename(self, old: str, new: str) -> None:
        same = self._client.same_name
        for one in self._to(old):
            one.text = replace(one.text, target=new)
            self._changed[one.text.number] = one.text
        for rooms in (self._joined, self._left_behind):
            rooms[:] = [new if same(room, old) else room for room in rooms]
        if old.lower() in self._latest:
            self._latest[new.lower()] = self._latest.pop(old.lower())

    def _forget_room(self, name: str) -> None:
        same = self._client.same_name
        for rooms in (self._joined, self._left_behind):
            rooms[:] = [room for room in rooms if not same(room, name)]

    def _to(self, target: str) -> list[_Open]:
        same = self._client.same_name
        return [one for one in self._open.values() if same(one.text.target, target)]

    def _is_any(self, name: str, names: Iterable[str]) -> bool:
        return any(self._client.same_name(name, each) for each in names)


_UNSURE: Final = gettext_noop("the connection was lost before an answer")
