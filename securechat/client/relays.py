"""The relays of one chat, and which of them a client tries next.

A chat may have several relays, which show the same rooms and people. A client is given some of
them, finds others by a look-up, and learns of others from a relay that it is connected to. None of
this says whom to trust: a connection is made only to a host whose certificate for that very name
verifies, by the CA that the user has chosen. Where that is a CA of the chat's own, nobody but its
relays has such a certificate, so a false list or a false answer of the DNS leads to another relay
of the same chat, or nowhere. Where it is one of the system's, anybody has: then nothing is looked
up, and nothing learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from securechat.client.words.translation import _, explain
from securechat.errors import ConfigError, PkiError
from securechat.net.listener import format_address
from securechat.pki import parse_host

__all__ = [
    "DEFAULT_PORT",
    "RELAYS_LIMIT",
    "RELAYS_TOKEN",
    "Itinerary",
    "RelayAddress",
    "announced_relays",
    "check_host",
    "is_leaving",
    "is_sent_away",
    "parse_relay",
]

DEFAULT_PORT: Final = 6697
"""Where IRC over TLS listens (RFC 7194)."""

RELAYS_TOKEN: Final = "securechat/RELAYS"
"""The token of ISUPPORT with which a relay announces all of them: ``host:port,host:port``."""

RELAYS_LIMIT: Final = 32
"""Most relays that are learned, or found by a look-up: as many as one chat can have."""

_PLACE: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([^:]*))?")
"""``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``."""

_LEAVING: Final = re.compile(
    r"\b(?:full|(?:lost|cut off from) the others|is shutting down|is stopping|restarting)\b",
    re.IGNORECASE,
)
"""What is in the last words of a server that is no good at the moment, to anybody. After other last
words (a ban, a flood) it would be the same elsewhere, and nobody should hurry."""

_SENT_AWAY: Final = re.compile(r"\bDisconnected by another device$")
"""What is in the last words of a relay where the user has ended this device (``DEVICES END``)."""


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay is. Immutable. ``host`` is as in ``check_host``; ``str()`` is ``HOST:PORT``."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return format_address(self.host, self.port)


def check_host(host: str) -> str:
    """Return ``host`` as certificates and the resolver know it: an IP address without brackets, or
    a DNS name in lower case, in its ``xn--`` form where it is not ASCII.

    :raises ConfigError: it is neither.
    """
    try:
        return str(parse_host(host).value)
    except PkiError as error:
        raise ConfigError([explain(error)]) from error


def parse_relay(text: str, default_port: int = DEFAULT_PORT) -> RelayAddress:
    """Return what ``HOST``, ``HOST:PORT``, ``[IPv6]`` or ``[IPv6]:PORT`` says.

    :raises ConfigError: it is none of these; the text says what is wrong.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ConfigError(
            [_("not an address: write HOST or HOST:PORT, an IPv6 address as [::1]:6697")]
        )
    host, port = found.groups()
    return RelayAddress(check_host(host), default_port if port is None else _parse_port(port))


def announced_relays(value: str) -> tuple[RelayAddress, ...]:
    """Return the relays in the value of ``RELAYS_TOKEN``, at most ``RELAYS_LIMIT``, each once; what
    is no address is passed over.
    """
    found: dict[RelayAddress, None] = {}
    for text in value.split(",")[:RELAYS_LIMIT]:
        try:
            found[parse_relay(text)] = None
        except ConfigError:
            continue
    return tuple(found)


def is_leaving(words: str) -> bool:
    """Whether these last words of a server say that another relay is the better one now."""
    return _LEAVING.search(words) is not None


def is_sent_away(words: str) -> bool:
    """Whether these last words of a server say that the user does not want us to come back."""
    return _SENT_AWAY.search(words) is not None


def _parse_port(port: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ConfigError([_("the port must be a number from 1 to 65535")])
    return int(port)


class Itinerary:
    """In which order the relays are tried. Owned by the I/O thread; ``known`` for any thread.

    It goes in rounds: in each, every relay is tried once, beginning behind the one that was tried
    last. So whoever has lost a relay goes on with the next one, and comes back to it last. Those
    that were given come first, then those found by a look-up, then those learned.

    :param looks_up: whether there is something to look up, before each round.
    """

    def __init__(
        self,
        given: Sequence[RelayAddress],
        learned: Sequence[RelayAddress] = (),
        *,
        looks_up: bool = False,
    ) -> None:
        self.current: RelayAddress | None = None  # that was tried last
        self._given = tuple(given)
        self._found: tuple[RelayAddress, ...] = ()
        self._learned = tuple(learned)
        self._looks_up = looks_up
        self._must_look_up = looks_up
        self._tried: set[RelayAddress] = set()  # in this round
        self._rejected: set[RelayAddress] = set()  # not to be tried, since the last arrival

    @property
    def known(self) -> tuple[RelayAddress, ...]:
        """All relays, in their order, each once."""
        return tuple(dict.fromkeys((*self._given, *self._found, *self._learned)))

    @property
    def named(self) -> tuple[RelayAddress, ...]:
        """Those that the user has named, or the domain that the user has named."""
        return tuple(dict.fromkeys((*self._given, *self._found)))

    @property
    def must_look_up(self) -> bool:
        """Whether it is time for a look-up."""
        return self._must_look_up

    @property
    def upcoming(self) -> RelayAddress | None:
        """The relay to be tried next; ``None``: this round is over."""
        relays = self.known
        start = relays.index(self.current) + 1 if self.current in relays else 0
        passed = self._tried | self._rejected
        return next((one for one in (*relays[start:], *relays[:start]) if one not in passed), None)

    @property
    def hopeless(self) -> bool:
        """Whether there is no relay left whose certificate could still be good."""
        return not self._looks_up and self._rejected.issuperset(self.known)

    def looked_up(self, found: Iterable[RelayAddress] | None) -> None:
        """Take what a look-up has found; ``None``: it has failed, and what was there holds."""
        self._must_look_up = False
        if found is not None:
            self._found = tuple(found)

    def learn(self, relays: Sequence[RelayAddress]) -> None:
        """Take the relays that one of them has announced, in place of those before."""
        self._learned = tuple(relays)

    def advance(self) -> RelayAddress | None:
        """Return the relay to be tried now; ``None``: this round is over."""
        upcoming = self.upcoming
        if upcoming is not None:
            self.current = upcoming
            self._tried.add(upcoming)
        return upcoming

    def reject(self) -> None:
        """Try the present one no more until there was an arrival: its certificate is bad."""
        if self.current is not None:
            self._rejected.add(self.current)

    def begin_round(self) -> None:
        """All may be tried again."""
        self._tried.clear()
        self._must_look_up = self._looks_up

    def arrived(self) -> None:
        """We are in: what was bad before may be mended when we have to look again."""
        self._rejected.clear()
        self.begin_round()
