"""Password hashes: Argon2id as PHC strings, which carry their parameters and salt.

Passwords come prepared (``securechat.irc.sasl.prepare_password``), by the caller. Every function
here but ``needs_upgrade`` takes tens of milliseconds and ``memory_kib`` of memory, with the
interpreter lock released: call it on a hash thread, never under a lock or on an I/O thread.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from securechat.errors import StoreError

__all__ = [
    "DEFAULT",
    "Argon2Parameters",
    "hash_password",
    "needs_upgrade",
    "verify_password",
]

_SALT_BYTES = 16  # RFC 9106, section 4
_HASH_BYTES = 32

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory_kib>\d+),t=(?P<iterations>\d+),p=(?P<lanes>\d+)"
    r"\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)


@dataclass(frozen=True, slots=True)
class Argon2Parameters:
    """What one hash costs. Immutable.

    ``memory_kib`` is at least 8 for each lane, the others at least 1 (RFC 9106, section 3.1).
    """

    memory_kib: int
    iterations: int
    lanes: int

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.lanes < 1 or self.memory_kib < 8 * self.lanes:
            raise ValueError("Argon2id needs iterations >= 1, lanes >= 1, memory_kib >= 8 * lanes")


# OWASP's minimum (Password Storage Cheat Sheet) rather than RFC 9106's second choice of 64 MiB and
# three passes. A login costs 19 MiB and some 50 ms, so a flood of them does not bring down a small
# machine. And more would guard nothing: whoever steals this hash has the account's SCRAM verifier
# too, which is cheaper to guess against.
DEFAULT = Argon2Parameters(memory_kib=19456, iterations=2, lanes=1)


def hash_password(password: str, parameters: Argon2Parameters = DEFAULT) -> str:
    """Return a PHC string of the prepared password with a new salt.

    Raises ``StoreError`` if there is not the memory.
    """
    argon2id = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=parameters.iterations,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    )
    try:
        return argon2id.derive_phc_encoded(password.encode())
    except MemoryError as error:
        raise StoreError(f"not enough memory to hash a password: {error}") from error


def verify_password(password: str, phc: str) -> bool:
    """Tell whether ``phc`` was made of this prepared password.

    Raises ``StoreError`` if ``phc`` is damaged or its parameters need more memory than there is.
    """
    _parameters_of(phc)
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    except (ValueError, MemoryError) as error:
        raise StoreError(f"a stored password hash cannot be used: {error}") from error
    return True


def needs_upgrade(phc: str, parameters: Argon2Parameters = DEFAULT) -> bool:
    """Tell whether ``phc`` was made with other parameters than these, cheaper or dearer.

    Then hash the password anew at the next login, the one moment it is known. Raises
    ``StoreError`` if ``phc`` is damaged.
    """
    return _parameters_of(phc) != parameters


def _parameters_of(phc: str) -> Argon2Parameters:
    match = _PHC.fullmatch(phc)
    if match is None:
        raise StoreError("a stored password hash is damaged: it is no Argon2id PHC string")
    try:
        return Argon2Parameters(**{name: int(value) for name, value in match.groupdict().items()})
    except ValueError as error:
        raise StoreError(f"a stored password hash is damaged: {error}") from error
