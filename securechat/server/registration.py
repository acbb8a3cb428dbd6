"""What a session has given of itself before it is on the network, and a login in progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from securechat.irc.sasl import ResponseAssembler, ScramServer
from securechat.store.accounts import Account

__all__ = ["Registration", "SaslExchange"]


@dataclass(slots=True)
class Registration:
    """What a client has given before it is on the network. Guarded by the network lock."""

    nick: str = ""
    nick_in_use: str = ""  # the nick that was refused last, because somebody has it
    username: str = ""
    realname: str = ""
    away: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    subscriptions: list[str] = field(default_factory=list)  # keys of metadata
    negotiating: bool = False  # CAP LS or REQ has come, CAP END has not
    room: str = ""  # which the invite opens by which an account was registered
    admitted: bool = False  # the password of the relay has been given
    commands: int = 0  # that have come; WEBIRC must be the first
    complete: bool = False


@dataclass(slots=True)
class SaslExchange:
    """A login in progress. Guarded by the network lock, as its session's field is."""

    mechanism: str
    responses: ResponseAssembler = field(default_factory=ResponseAssembler)
    scram: ScramServer | None = None
    account: str = ""  # as the client named it
    verified: Account | None = None  # the account whose verifier the proof is checked against
    proved: bool = False  # SCRAM: all is said but the client's empty last word
