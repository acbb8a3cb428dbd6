"""Password hashes: Argon2id as PHC strings, which carry their parameters and salt.

Every function here but ``needs_upgrade`` and ``prepare_password`` takes tens of milliseconds and
``memory_kib`` of memory, with the interpreter lock released: call it on a hash thread, never under
a lock or on an I/O thread.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from securechat.errors import StoreError

__all__ = [
    "DEFAULT",
    "PASSWORD_LIMIT_BYTES",
    "Argon2Parameters",
    "hash_password",
    "needs_upgrade",
    "prepare_password",
    "verify_password",
]

# In UTF-8, after preparation. A password may have to travel in one ordinary IRC line (512 bytes,
# command and prefix included); IRCv3 account-registration names 300 bytes as the safe limit.
PASSWORD_LIMIT_BYTES = 300

_SALT_BYTES = 16  # RFC 9106, section 4
_HASH_BYTES = 32

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory_kib>\d+),t=(?P<iterations>\d+),p=(?P<lanes>\d+)"
    r"\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)

# Control characters, line and paragraph separators, half surrogate pairs, and code points without a
# meaning (yet): the next version of Unicode may normalise those otherwise. RFC 8264, section 4.3.3
# also disallows format characters; they are let through, for emoji and Persian are typed with them.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})


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


def prepare_password(password: str) -> str:
    """Return the password in the one form in which it is hashed and compared.

    The OpaqueString profile (RFC 8265, section 4.2): other spaces become U+0020, then NFC; so two
    keyboards that spell "é" differently agree. Preparing it again changes nothing.

    Raises ``ValueError``, with a reason fit for the user that does not quote the password, if it
    is empty, too long, or has characters that cannot be typed again with certainty.
    """
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared:
        raise ValueError("the password is empty")
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in prepared):
        raise ValueError("the password contains control characters or unknown characters")
    if len(prepared.encode()) > PASSWORD_LIMIT_BYTES:
        raise ValueError(f"the password is longer than {PASSWORD_LIMIT_BYTES} bytes")
    return prepared


def hash_password(password: str, parameters: Argon2Parameters = DEFAULT) -> str:
    """Return a PHC string of the prepared password with a new salt.

    Raises ``ValueError`` as ``prepare_password`` does, ``StoreError`` if there is not the memory.
    """
    key = prepare_password(password).encode()
    argon2id = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=parameters.iterations,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    )
    try:
        return argon2id.derive_phc_encoded(key)
    except MemoryError as error:
        raise StoreError(f"not enough memory to hash a password: {error}") from error


def verify_password(password: str, phc: str) -> bool:
    """Tell whether ``phc`` was made of this password.

    A password that cannot be prepared is no account's password; it is refused without hashing,
    which takes as little time for any ``phc`` and so tells nothing of it.

    Raises ``StoreError`` if ``phc`` is damaged or its parameters need more memory than there is.
    """
    _parameters_of(phc)
    try:
        key = prepare_password(password).encode()
    except ValueError:
        return False
    try:
        Argon2id.verify_phc_encoded(key, phc)
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
