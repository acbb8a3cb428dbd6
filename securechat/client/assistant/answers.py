"""The steps of setting up a network, and what the user has answered in them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["AccountChoice", "Answers", "Keep", "Step", "Trust"]

Trust = Literal["file", "system"]
"""Whom to trust: the CA in a file, or those that this system trusts."""

AccountChoice = Literal["login", "register", "later"]
"""Log in, make an account of the nick, or do without."""

Keep = Literal["prompt", "keyring", "command"]
"""Where the password is to be found at the next start."""


class Step(enum.Enum):
    """The steps in their order."""

    ADDRESS = enum.auto()
    TRUST = enum.auto()
    CONNECTION = enum.auto()
    NICK = enum.auto()
    ACCOUNT = enum.auto()
    PASSWORD = enum.auto()
    ROOMS = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True)
class Answers:
    """What the user has answered so far, as it was typed."""

    address: str = ""
    trust: Trust = "file"
    ca_file: str = ""
    nick: str = ""
    realname: str = ""
    account: AccountChoice = "later"
    login: str = ""  # the account to log in to
    password: str = field(default="", repr=False)
    again: str = field(default="", repr=False)
    email: str = field(default="", repr=False)  # or the invitation code
    keep: Keep = "prompt"
    command: str = ""
    rooms: str = ""
    network: str = ""
