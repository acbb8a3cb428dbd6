"""Which way a text to somebody goes: inside a session with them, or through the relay.

What counts is what the user has been shown, not what has happened meanwhile. Otherwise a text that
was typed for a session could go where the relay can read it::

    shown last of that person             a text to them
    ────────────────────────────────────  ──────────────────────────────────────────────
    no session                            goes through the relay
    PeerOpened                            goes into the session; is refused if that is over
    PeerLost                              goes into the session, and waits there
    PeerClosed, of one that was open      is refused, once; the next goes through the relay
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from securechat.client.chat.outgoing import Outgoing
from securechat.client.client import Client
from securechat.client.events import Event, NickChanged
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.errors import LocalProtocolError
from securechat.peer.events import PathKind, PeerClosed, PeerLost, PeerOpened
from securechat.peer.records import TextKind

__all__ = ["Routes", "Said", "SessionState"]

SessionState = PathKind | Literal["lost"]
"""How an open session runs, as far as the user knows; ``lost``: without a path."""


@dataclass(slots=True)
class _Session:
    account: str
    nick: str
    state: SessionState | None  # None: it is over, and the user may not have noticed
    told: bool = False  # that texts wait


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a text. Immutable.

    ``note``: what the user should know, safe, or nothing. ``delivery``: of a text that went into a
    session, what its ``Delivered`` or ``NotDelivered`` will carry.
    """

    note: str = ""
    delivery: int | None = None


class Routes:
    """The sessions that a user knows of. Owned by the user interface's thread.

    :param outgoing: keeps what goes through the relay until it is delivered; ``None``: nobody does.
    """

    def __init__(self, client: Client, outgoing: Outgoing | None = None) -> None:
        self._client = client
        self._outgoing = outgoing
        self._sessions: list[_Session] = []

    def note(self, event: Event) -> None:
        """Take note of what the user has just been shown."""
        match event:
            case PeerOpened():
                self._forget(event.account)
                self._sessions.append(_Session(event.account, event.nick, event.path))
            case PeerLost():
                self._change(event.account, "lost")
            case PeerClosed(was_open=True):
                self._change(event.account, None)
            case NickChanged():
                for session in self._sessions:
                    if self._client.same_name(session.nick, event.old):
                        session.nick = event.new
            case _:
                pass

    def state(self, name: str) -> SessionState | None:
        """Return the state of the session with that nick or account; ``None`` if there is none."""
        session = self._find(name)
        return session.state if session is not None else None

    def say(
        self, name: str, text: str, kind: TextKind = "message", reply_to: str | None = None
    ) -> Said:
        """Say ``text`` to a channel or person; return what became of it.

        ``reply_to`` is the msgid of the text that this one answers; nothing inside a session.

        :raises SecureChatError: it was not sent; the text says why.
        """
        session = self._find(name)
        if session is None:
            self._say_by_relay(name, text, kind, reply_to)
            return Said()
        if session.state is None:
            raise self._ended(session)
        try:
            delivery = self._client.peers.send(session.account, text, kind)
        except LocalProtocolError as error:
            if self._exists(session.account):
                raise  # this text cannot be said
            raise self._ended(session) from error
        note = ""
        if session.state == "lost" and not session.told:
            session.told = True
            note = _(
                "it waits until the session with {nick} has a path again; so does all else you say",
                nick=make_safe(session.nick),
            )
        return Said(note, delivery)

    def _say_by_relay(self, name: str, text: str, kind: TextKind, reply_to: str | None) -> None:
        if self._outgoing is not None:
            self._outgoing.say(name, text, kind, reply_to)
            return
        client = self._client
        ways = {"message": client.send, "action": client.action, "notice": client.notice}
        ways[kind](name, text, reply_to=reply_to)

    def _ended(self, session: _Session) -> LocalProtocolError:
        """Return the refusal of a text; the next one goes through the relay."""
        self._sessions.remove(session)
        return LocalProtocolError(
            "not sent: the session with {nick} is over. Say it again and it goes through the relay,"
            " which can read it.",
            nick=session.nick,
        )

    def _exists(self, account: str) -> bool:
        return any(
            peer.state in ("open", "lost") and self._client.same_name(peer.account, account)
            for peer in self._client.peers.list()
        )

    def _find(self, name: str) -> _Session | None:
        if self._client.is_channel(name):
            return None
        same = self._client.same_name
        by_account = (one for one in self._sessions if same(one.account, name))
        by_nick = (one for one in self._sessions if same(one.nick, name))
        return next(by_account, None) or next(by_nick, None)

    def _change(self, account: str, state: SessionState | None) -> None:
        for session in self._sessions:
            if self._client.same_name(session.account, account):
                session.state, session.told = state, False

    def _forget(self, account: str) -> None:
        same = self._client.same_name
        self._sessions = [one for one in self._sessions if not same(one.account, account)]
