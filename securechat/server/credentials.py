"""Passwords that people choose: which will do, and what is kept of them."""

from __future__ import annotations

import os
from typing import Final

from securechat.errors import SecureChatError
from securechat.irc.sasl import ScramVerifier, prepare_password
from securechat.store.passwords import Argon2Parameters, hash_password

__all__ = ["SALT_BYTES", "WeakPassword", "make_credentials", "new_password"]

SALT_BYTES: Final = 16
"""Of a SCRAM verifier."""


class WeakPassword(SecureChatError):
    """The password is too easily guessed; the text says what it must be."""


def make_credentials(password: str, parameters: Argon2Parameters) -> tuple[str, str]:
    """Return what is kept of a password (prepared): its hash, and its SCRAM verifier.

    Takes tens of milliseconds and much memory; see ``securechat.store.passwords``.

    :raises StoreError: there is not the memory.
    """
    hashed = hash_password(password, parameters)
    return hashed, ScramVerifier.derive(password, salt=os.urandom(SALT_BYTES)).to_text()


def new_password(password: str, account: str, least: int) -> str:
    """Return a password that somebody has chosen for ``account``, prepared.

    :param least: characters that it must have.
    :raises LocalProtocolError: nothing can be a password that has such characters or lengths.
    :raises WeakPassword: it is too short, or the name of the account.
    """
    prepared = prepare_password(password)
    if len(prepared) < least or prepared.casefold() == account.casefold():
        raise WeakPassword(
            "Choose a password of at least {least} characters, and not your nick", least=least
        )
    return prepared
