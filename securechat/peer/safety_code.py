"""The safety code: sixty digits that are the same on both screens if nobody is in between.

Two people compare them by a way on which they recognise each other: side by side, or by voice. Each
half stands for one side, its account and its device. The construction is that of Signal's "numeric
fingerprint", with other contents. For each side::

    hash = SHA-512(version ‖ length ‖ certificate ‖ account ‖ certificate)
    repeat ITERATIONS - 1 times:  hash = SHA-512(hash ‖ certificate)
    half = the first 30 bytes of hash, as six numbers of 5 bytes, each big-endian, modulo 100,000,
           each written with 5 digits

``version`` is ``VERSION`` in 2 bytes, ``length`` is that of the certificate in 4 bytes, both
big-endian; ``certificate`` is the device's in DER, whole; ``account`` is in UTF-8, folded as names
are on that network. The code is the two halves, the smaller one first.

**The odds.** To go unnoticed, somebody in between needs, for each side, a certificate of its own
with the very half of the one that it stands in for. A half has 30 digits, or 99.7 bits. So about
10^30 certificates are to be tried, and each try costs ``ITERATIONS`` hashes: 2^112 in all. Who
compares only one group of five digits is fooled by one certificate in 100,000, which is made in
minutes: compare all.

The functions are pure, and safe from any thread.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["ITERATIONS", "VERSION", "grouped", "safety_code"]

VERSION: Final = 1
"""Of the construction. With another one the codes differ, so both sides must have the same."""

ITERATIONS: Final = 5_200
"""Hashes for one half, as in Signal: they add 12 bits to the work of who searches for a certificate
with the same half, and cost us a few milliseconds."""

_HALF_BYTES: Final = 30
_GROUP_BYTES: Final = 5
_GROUP_DIGITS: Final = 5
_GROUPS_PER_LINE: Final = 4


def safety_code(
    own_account: str, own_certificate: bytes, their_account: str, their_certificate: bytes
) -> str:
    """Return the 60 digits for two devices; the same with the sides exchanged.

    Accounts come folded, certificates in DER. Takes some milliseconds.
    """
    halves = (_half(own_account, own_certificate), _half(their_account, their_certificate))
    return "".join(sorted(halves))


def grouped(code: str) -> list[str]:
    """Return the code as people read it: three lines of four groups of five digits."""
    groups = [code[start : start + _GROUP_DIGITS] for start in range(0, len(code), _GROUP_DIGITS)]
    return [
        " ".join(groups[start : start + _GROUPS_PER_LINE])
        for start in range(0, len(groups), _GROUPS_PER_LINE)
    ]


def _half(account: str, certificate: bytes) -> str:
    prefix = VERSION.to_bytes(2, "big") + len(certificate).to_bytes(4, "big")
    digest = prefix + certificate + account.encode()
    for _ in range(ITERATIONS):
        digest = hashlib.sha512(digest + certificate).digest()
    numbers = (
        int.from_bytes(digest[start : start + _GROUP_BYTES], "big")
        for start in range(0, _HALF_BYTES, _GROUP_BYTES)
    )
    return "".join(f"{number % 10**_GROUP_DIGITS:0{_GROUP_DIGITS}}" for number in numbers)
