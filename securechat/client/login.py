"""Logging in with SASL: one mechanism after the other, as far as that is safe.

The order is EXTERNAL (when we showed a certificate), SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN. A
mechanism that the server does not know is passed over. Where -PLUS is offered, SCRAM without it is
not tried: the server must take that for somebody in between who hides -PLUS. Once a server has
begun SCRAM, PLAIN is out: a server that cannot prove that it knows the password must not be handed
the password next.

https://ircv3.net/specs/extensions/sasl-3.1 and sasl-3.2
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from securechat.client.events import LoginRejected
from securechat.client.session import Credentials, Session
from securechat.client.words.translation import gettext_noop
from securechat.errors import RemoteProtocolError
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.sasl import (
    EXTERNAL,
    LOGINS_NOT_NOW,
    PLAIN,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    ResponseAssembler,
    ScramClient,
    authenticate_chunks,
    plain_response,
    prepare_password,
)

__all__ = ["Login", "Outcome"]

_REFUSED: Final = frozenset(
    {
        numerics.ERR_NICKLOCKED,
        numerics.ERR_SASLFAIL,
        numerics.ERR_SASLTOOLONG,
        numerics.ERR_SASLABORTED,
        numerics.ERR_SASLALREADY,
    }
)


class Outcome(enum.Enum):
    """How a login stands after a message. ``REJECTED`` has been reported as ``LoginRejected``."""

    PENDING = enum.auto()
    ACCEPTED = enum.auto()
    REJECTED = enum.auto()


class Login:
    """The logins of one connection, one at a time. Owned by the thread of its connection.

    :param make_nonce: returns fresh random printable ASCII without commas.
    """

    COMMANDS: Final = frozenset(
        {"AUTHENTICATE", numerics.RPL_SASLSUCCESS, numerics.RPL_SASLMECHS, *_REFUSED}
    )
    """The messages that belong to a login while it is ``active``."""

    def __init__(self, session: Session, make_nonce: Callable[[], str]) -> None:
        self._session = session
        self._make_nonce = make_nonce
        self._credentials: Credentials | None = None
        self._untried: list[str] = []
        self._mechanism = ""
        self._assembler = ResponseAssembler()
        self._scram: ScramClient | None = None
        self._challenged = False  # the server has begun a SCRAM exchange

    @property
    def active(self) -> bool:
        """Whether a login is under way."""
        return self._credentials is not None

    def start(self, credentials: Credentials) -> Outcome:
        """Begin to log in."""
        session = self._session
        self._credentials = credentials
        self._challenged = False
        if not session.has("sasl"):
            return self._reject("", gettext_noop("the server offers no login (SASL)"))
        wanted = [EXTERNAL] if credentials.certificate else []
        if credentials.password is not None:
            bound = [SCRAM_SHA_256_PLUS] if session.channel_binding is not None else []
            wanted += [*bound, SCRAM_SHA_256, PLAIN]
        # Servers of CAP version 301 do not say which mechanisms they have.
        offered = session.offered.get("sasl", "").upper()
        known = offered.split(",") if offered else wanted
        self._untried = [mechanism for mechanism in wanted if mechanism in known]
        if offered and {SCRAM_SHA_256_PLUS, SCRAM_SHA_256} <= set(self._untried):
            self._untried.remove(SCRAM_SHA_256)
        nothing = gettext_noop("the server offers no way to log in that this client has")
        return self._try_next("", nothing)

    def handle(self, message: Message) -> Outcome:
        """Take a message of ``COMMANDS`` while a login is under way."""
        text = message.params[-1] if message.params else ""
        if message.command == "AUTHENTICATE":
            return self._answer(text)
        if message.command == numerics.RPL_SASLMECHS:
            known = message.params[1].upper().split(",") if len(message.params) > 1 else []
            self._untried = [mechanism for mechanism in self._untried if mechanism in known]
            return Outcome.PENDING  # the refusal itself follows
        if message.command == numerics.RPL_SASLSUCCESS:
            if self._scram is not None and not self._scram.server_proved:
                unproved = gettext_noop(
                    "the server let us in without proving that it knows the password"
                )
                return self._reject("", unproved)
            self._credentials = None
            return Outcome.ACCEPTED
        if self._mechanism == PLAIN or self._challenged or text in LOGINS_NOT_NOW:
            return self._reject(message.command, text)
        return self._try_next(message.command, text)

    def _try_next(self, code: str, text: str) -> Outcome:
        if not self._untried:
            return self._reject(code, text)
        assert self._credentials is not None
        self._mechanism = self._untried.pop(0)
        self._assembler = ResponseAssembler()
        self._scram = None
        if self._mechanism in (SCRAM_SHA_256, SCRAM_SHA_256_PLUS):
            self._scram = ScramClient(
                self._credentials.account,
                prepare_password(self._credentials.password or ""),
                self._make_nonce(),
                binding=self._session.channel_binding,
                plus=self._mechanism == SCRAM_SHA_256_PLUS,
            )
        self._session.say("AUTHENTICATE", self._mechanism)
        return Outcome.PENDING

    def _answer(self, chunk: str) -> Outcome:
        assert self._credentials is not None
        try:
            challenge = self._assembler.feed(chunk)
            if challenge is None:
                return Outcome.PENDING
            if self._scram is not None:
                self._challenged = self._challenged or bool(challenge)
                response = self._scram.respond(challenge)
            elif self._mechanism == PLAIN:
                response = plain_response(
                    self._credentials.account, self._credentials.password or ""
                )
            else:
                response = b""  # EXTERNAL: whoever the certificate says
        except RemoteProtocolError as error:
            self._session.say("AUTHENTICATE", "*")
            return self._reject("", str(error))
        for part in authenticate_chunks(response):
            self._session.say("AUTHENTICATE", part)
        return Outcome.PENDING

    def _reject(self, code: str, text: str) -> Outcome:
        assert self._credentials is not None
        self._session.emit(LoginRejected(self._credentials.account, code, text))
        self._credentials = None
        return Outcome.REJECTED
