"""Getting onto a network: capabilities, login, nick, until the server says welcome.

``Phase`` is where we are; the table is the whole of it::

    phase        waits for                     and goes to
    ───────────  ────────────────────────────  ───────────────────────────────────────────────
    START        start()                       NEGOTIATING  (says CAP LS, NICK, USER)
    NEGOTIATING  the list of capabilities      REQUESTING, or straight on as after REQUESTING
    REQUESTING   each ACK or NAK               LOGGING_IN with credentials, else FINISHING
    LOGGING_IN   the outcome of SASL           FINISHING, or HELD when it failed
    FINISHING    001  (CAP END has been said)  WELCOMED, or HELD when the server wants something
    HELD         the user: a nick, a login     FINISHING, LOGGING_IN
    WELCOMED     the end of the MOTD           REGISTERED
    REGISTERED   nothing more

001 leads to WELCOMED from everywhere: a server without CAP says it after NEGOTIATING. ``Welcome``
is reported at the end of the MOTD, when ISUPPORT has said how names are compared.

A nick refused while a login is still to come is asked for again after it, since the login may be
what it takes. In HELD the server has everything but a nick or an account that it accepts, and its
own deadline runs.

https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from securechat.client.events import (
    AccountRequired,
    LoginRejected,
    NickRejected,
    Welcome,
)
from securechat.client.login import Login, Outcome
from securechat.client.session import Credentials, Session
from securechat.client.words.translation import gettext_noop
from securechat.irc import numerics, peering
from securechat.irc.message import Message

__all__ = ["HISTORY_CAPABILITIES", "WANTED_CAPABILITIES", "Phase", "Registration"]

WANTED_CAPABILITIES: Final = frozenset(
    {
        "account-notify",
        "account-tag",
        "away-notify",
        "batch",
        "cap-notify",
        "chghost",
        "draft/account-registration",
        "draft/channel-rename",
        "draft/message-redaction",
        "draft/multiline",
        "echo-message",
        "extended-join",
        "invite-notify",
        "labeled-response",
        "message-tags",
        "multi-prefix",
        "sasl",
        "server-time",
        "setname",
        "standard-replies",
        "userhost-in-names",
    }
)
"""What this client understands and asks for, beside what not every client is for (peers, history).
"""

HISTORY_CAPABILITIES: Final = frozenset(
    {"draft/chathistory", "draft/event-playback", "draft/read-marker", "soju.im/search"}
)
"""What a client asks for that fetches the history itself. "if a client requests this capability
[draft/chathistory], the server … SHOULD NOT play back any history that would otherwise be sent
automatically": others rely on that. With event-playback a page has the reactions and deletions."""

_REQUEST_BYTES: Final = 400
"""Most names in one CAP REQ, in bytes: the ACK repeats them behind the server's name and our nick,
in 510 bytes."""

_OTHER_NICKS: Final = 5
"""How often ``_`` is appended to a nick in use before we give up: nick lengths are limited."""

_NICK_REFUSED: Final = frozenset({"431", "432", "433", "436", "437"})


class Phase(enum.Enum):
    """Where a registration is; see the table above."""

    START = enum.auto()
    NEGOTIATING = enum.auto()
    REQUESTING = enum.auto()
    LOGGING_IN = enum.auto()
    FINISHING = enum.auto()
    HELD = enum.auto()
    WELCOMED = enum.auto()
    REGISTERED = enum.auto()


class Registration:
    """The way onto the network of one connection. Owned by the thread of its connection."""

    COMMANDS: Final = frozenset(
        {
            "CAP",
            "REGISTER",
            "VERIFY",
            numerics.RPL_WELCOME,
            numerics.ERR_UNKNOWNCOMMAND,
            numerics.RPL_ENDOFMOTD,
            numerics.ERR_NOMOTD,
            *_NICK_REFUSED,
            *Login.COMMANDS,
        }
    )
    """The messages that ``handle`` is for, beside some standard replies."""

    def __init__(self, session: Session, make_nonce: Callable[[], str]) -> None:
        self.phase = Phase.START
        self._session = session
        self._login = Login(session, make_nonce)
        self._credentials = session.identity.credentials
        self._wanted = set(WANTED_CAPABILITIES)
        if session.identity.peers:
            self._wanted.add(peering.CAPABILITY)
        if session.identity.history:
            self._wanted |= HISTORY_CAPABILITIES
        self._listed: dict[str, str] = {}  # of a CAP LS that is not complete yet
        self._awaited: set[str] = set()  # requested, not answered yet
        self._capable = False  # the server knows CAP
        self._refused: NickRejected | None = None  # of the nick asked for last
        self._others_tried = 0
        self._welcome_text = ""

    # ---- intents ----

    def start(self) -> None:
        """Say the first lines."""
        session = self._session
        identity = session.identity
        self.phase = Phase.NEGOTIATING
        session.say("CAP", "LS", "302")
        session.say("NICK", identity.nick)
        session.say("USER", identity.username, "0", "*", identity.realname or identity.nick)

    def set_nick(self, nick: str) -> None:
        """Ask for another nick, before or after the welcome."""
        session = self._session
        if session.registered:
            session.say("NICK", nick)
            return
        session.nick = nick
        session.say("NICK", nick)
        self._refused = None
        if self.phase is Phase.HELD:
            self._finish()

    def login(self, credentials: Credentials) -> None:
        """Log in, before or after the welcome. Servers may refuse it after the welcome."""
        if self._login.active:
            self._session.emit(
                LoginRejected(
                    credentials.account, "BUSY", gettext_noop("another login is still under way")
                )
            )
            return
        if not self._session.registered:
            self.phase = Phase.LOGGING_IN
        self._advance(self._login.start(credentials))

    # ---- messages ----

    def handle(self, message: Message) -> bool:
        """Take a message; false when it is not about registration after all."""
        command, params = message.command, message.params
        text = params[-1] if params else ""
        if command == "CAP" and len(params) >= 3:
            self._handle_cap(params[1].upper(), params[2:])
        elif command == numerics.RPL_WELCOME and params:
            self._welcomed(params[0], text)
        elif command in (numerics.RPL_ENDOFMOTD, numerics.ERR_NOMOTD):
            if self.phase is not Phase.WELCOMED:
                return False
            self._registered()
        elif command in _NICK_REFUSED:
            nick = params[1] if len(params) > 2 else self._session.nick
            if self._session.isupport.is_channel(nick):  # 437 is for both
                return False
            # Ergo says "reserved", our relay "registered", services of others "registered".
            reserved = "reserved" in text.lower() or "registered" in text.lower()
            self._nick_refused(NickRejected(nick, reserved and command == "433", text))
        elif command in Login.COMMANDS and self._login.active:
            self._advance(self._login.handle(message))
        elif command == numerics.ERR_UNKNOWNCOMMAND and params[1:2] == ("CAP",):
            return not self._session.registered  # a server of the old days; it needs no CAP END
        elif command in ("REGISTER", "VERIFY") and self.phase is Phase.HELD:
            if params[:1] == ("SUCCESS",):  # "assumed to be authenticated … as if it used SASL"
                self._advance(Outcome.ACCEPTED)
            return False
        else:
            return False
        return True

    def handle_fail(self, command: str, code: str, context: tuple[str, ...], text: str) -> bool:
        """Take a standard reply; false when it is not about registration."""
        if command == "NICK" and code == "NICKNAME_RESERVED":
            nick = context[0] if context else self._session.nick
            self._nick_refused(NickRejected(nick, True, text))
        elif code == "ACCOUNT_REQUIRED" and not self._session.registered:
            self.phase = Phase.HELD
            self._session.emit(AccountRequired(text))
        else:
            return False
        return True

    # ---- capabilities ----

    def _handle_cap(self, subcommand: str, params: tuple[str, ...]) -> None:
        names = params[-1].split()
        match subcommand:
            case "LS":
                self._capable = True
                self._listed.update(_with_values(names))
                if params[0] == "*" and len(params) > 1:
                    return  # more lines follow
                self._session.offered, self._listed = self._listed, {}
                self._request(self._session.offered)
            case "NEW":
                offered = _with_values(names)
                self._session.offered.update(offered)
                self._request(offered)
            case "DEL":
                for name in names:
                    self._session.offered.pop(name, None)
                    self._session.enabled.discard(name)
                    self._awaited.discard(name)
            case "ACK":
                for name in names:
                    self._awaited.discard(name.lstrip("-"))
                    if name.startswith("-"):
                        self._session.enabled.discard(name[1:])
                    else:
                        self._session.enabled.add(name)
            case "NAK":
                self._refused_capabilities(names)
            case _:
                return
        if not self._awaited and self.phase in (Phase.NEGOTIATING, Phase.REQUESTING):
            self._negotiated()

    def _request(self, offered: dict[str, str]) -> None:
        wanted = sorted((self._wanted & offered.keys()) - self._session.enabled)
        self._awaited.update(wanted)
        if wanted and self.phase is Phase.NEGOTIATING:
            self.phase = Phase.REQUESTING
        line = ""
        for name in wanted:
            if line and len(line) + 1 + len(name) > _REQUEST_BYTES:
                self._session.say("CAP", "REQ", line)
                line = ""
            line = f"{line} {name}" if line else name
        if line:
            self._session.say("CAP", "REQ", line)

    def _refused_capabilities(self, names: list[str]) -> None:
        # A request is granted or refused as a whole: ask for the parts one by one.
        again = [name for name in names if name in self._awaited] if len(names) > 1 else []
        self._awaited.difference_update(set(names) - set(again))
        for name in again:
            self._session.say("CAP", "REQ", name)

    def _negotiated(self) -> None:
        if self._credentials is None:
            self._finish()
            return
        credentials, self._credentials = self._credentials, None
        self.phase = Phase.LOGGING_IN
        self._advance(self._login.start(credentials))

    # ---- login and nick ----

    def _advance(self, outcome: Outcome) -> None:
        if self._session.registered or outcome is Outcome.PENDING:
            return
        if outcome is Outcome.ACCEPTED:
            if self._refused is not None:  # what was refused before may be granted now
                self._refused = None
                self._session.say("NICK", self._session.nick)
            self._finish()
        else:
            self.phase = Phase.HELD

    def _finish(self) -> None:
        self.phase = Phase.FINISHING if self._refused is None else Phase.HELD
        if self._capable:
            self._session.say("CAP", "END")

    def _nick_refused(self, event: NickRejected) -> None:
        session = self._session
        if session.registered:
            session.emit(event)
            return
        told = self._refused
        self._refused = event
        if told is not None and told.nick == event.nick:
            return  # a FAIL and its numeric say the same thing twice
        if self._credentials is not None and self._capable:
            return
        if self.phase is Phase.LOGGING_IN:
            return
        may_try = session.identity.other_nick and not event.reserved
        if may_try and self._others_tried < _OTHER_NICKS:
            self._others_tried += 1
            session.nick += "_"
            session.say("NICK", session.nick)
            self._refused = None
            return
        if self.phase is Phase.FINISHING:
            self.phase = Phase.HELD
        session.emit(event)

    # ---- the end ----

    def _welcomed(self, nick: str, text: str) -> None:
        if self._session.registered:
            return
        if self._credentials is not None:  # the server does not know CAP, so nobody logged in
            self._session.emit(
                LoginRejected(
                    self._credentials.account, "", gettext_noop("the server offers no login (SASL)")
                )
            )
            self._credentials = None
        self.phase = Phase.WELCOMED
        self._session.nick = nick
        self._session.registered = True
        self._welcome_text = text

    def _registered(self) -> None:
        session = self._session
        self.phase = Phase.REGISTERED
        network = session.isupport.get("NETWORK")
        session.emit(Welcome(session.nick, session.account, network, self._welcome_text))


def _with_values(names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        key, _, value = name.partition("=")
        found[key] = value
    return found
