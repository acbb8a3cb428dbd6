"""How peers find each other: the signals, over the ordinary IRC connection, and the tunnel.

This text is normative. What peers say to each other once they have a connection of their own is in
``securechat.peer``.

**Who.** A *device* is a client with a key of its own; its self-signed certificate (X.509, DER) is
its identity, and the SHA-256 of that in lower-case hex its name, the *fingerprint*. Devices belong
to accounts: all of this is only between sessions that are logged in and have taken the capability
``securechat/peer``, which implies that they read tags. To a session without the capability, PEER is
an unknown command, and it is sent nothing of this.

**From a client to the relay** (``<id>``: 32 lower-case hex digits, fresh and random for each offer,
known to the two peers and the relay alone)::

    @securechat/certificate=<base64> PEER ANNOUNCE      I can be reached as a peer, as this device
    PEER RETRACT                                        no longer
    PEER LOOKUP <nick or account>                       which devices does that account have?
    PEER LIST                                           who of those I may see can be reached now?
    PEER OFFER <account> <fingerprint or *> <id>        let us have a session; *: any device
    PEER ANSWER <id>                                    yes, with this device
    PEER CANDIDATES <id> :<candidate>[ <candidate>]…    there you can try to reach me directly
    PEER TUNNEL <id>                                    give us both a token for a tunnel
    PEER WITHDRAW <id> [:<reason>]                      no; or no longer; or it is over

**From the relay to a client** (``account`` and ``fingerprint`` are those of the other side)::

    PEER ANNOUNCED <fingerprint> <address> <port>       and you are seen to come from there
    @<certificate> PEER DEVICE <account> <nick or *> <fingerprint> <+ or -> <first> <last>
    PEER REACHABLE <account> <nick>                     in answer to LIST; and when it begins, to
    PEER UNREACHABLE <account> <nick>                   .. those who share a channel or watch; ends
    PEER END LOOKUP <nick or account>                   that was all
    PEER END LIST *
    @<certificate> :nick!user@host PEER OFFER <account> <fingerprint> <id>
    @<certificate> :nick!user@host PEER ANSWER <account> <fingerprint> <id>
    :nick!user@host PEER CANDIDATES <id> :<candidate>[ <candidate>]…
    PEER TOKEN <id> <token> [<host>:<port>]             of a tunnel, at that relay
    :nick!user@host PEER WITHDRAW <id> :<reason>

``<port>`` is 0 where the relay does not see it, behind a web gateway. ``first`` and ``last`` are
when the relay saw the device, in milliseconds since 1970 UTC; ``+`` is one that can be reached now.
``@<certificate>`` is the tag ``securechat/certificate`` with the certificate that the device has
announced: the relay puts it there. A candidate is ``1.2.3.4:5678`` or ``[2001:db8::1]:5678``; none
at all (an empty parameter) says that there is no direct way; a further signal may bring more.
``<host>`` is a name, an IPv4 address, or an IPv6 address in brackets. REACHABLE is said of each
nick, LIST leaves out only the session that asks: other devices of the same account are peers as
well.

**Rules of the relay.**

1. ANNOUNCE comes first: who has not announced a device can neither offer nor be offered to.
2. An offer goes to all announced sessions of the account but the sender's own (with a fingerprint:
   to that device alone). The first ANSWER makes the pair; the other devices are sent WITHDRAW.
3. CANDIDATES, TUNNEL and WITHDRAW are passed on only within a pair; before the answer, WITHDRAW by
   the offerer ends the offer for all, by one who was offered to, for that device, and for the
   offerer when no other is left.
4. When a session leaves the network, retracts, announces another certificate or gives up the
   capability, its offers and pairs end, and the other side is sent WITHDRAW. A session that the
   peers have by then is their own, and goes on; but for a tunnel, which belongs to the two
   sessions as devices, and is closed a few seconds later. So it is when its relay is lost.
5. Offers are limited in rate and number for each session; so are candidates in a signal.
6. What is refused is answered by ``FAIL PEER <code> <subcommand> <id or name> :<text>``, with the
   codes of ``FailCode``: the id where the signal has one, the name of a LOOKUP, else ``*``.

**The tunnel**, where no direct way exists: each side connects once more to the relay, to the same
port, with the application protocol (ALPN) ``securechat-tunnel``, and says its token and a line
feed. The relay answers ``JOINED`` and a line feed when both are there; from then on it passes on
bytes as they are, in both directions, until one side closes. Or it says ``REFUSED <text>`` and a
line feed, and closes. A token is worth one try of one side for half a minute.

Where several relays are one chat, a tunnel is at the relay of the session that has asked for it,
and TOKEN tells both sides where that is: there they connect, and verify the certificate as that of
their own relay, but for that host. Where TOKEN tells no place, it is the relay that they are
connected to, as where there is only one. Who passes over the place (clients before it was told)
goes there in any case, and is refused if it is the wrong one. A relay that has no place to tell
refuses TUNNEL if the other side is elsewhere. Each relay counts and limits its own tunnels.

**Attackers.**

- *The relay* knows who speaks to whom, when and how much, and the addresses in candidates. It can
  leave signals out, invent them, or put its own certificate into an offer and an answer. It cannot
  read a session between the true certificates: each side accepts in TLS just the certificate that
  it was told. A wrong one is found where that contact's is known already (pinned on first use), and
  surely once the two have compared their safety code. It can have us begin a TLS connection to any
  host, as the place of a tunnel: what is said there is a token of its own, and that only where the
  certificate verifies.
- *A hostile peer* learns our addresses only if we allow it. It can have us dial addresses of its
  choosing: so loopback, link-local, multicast and system ports are refused, and few are tried. It
  can announce a certificate that is not its own; without the key no handshake comes of it.
- *A third user* sees nothing of a pair: ids and tokens are random and told to the two sides alone.
  It can ask us for sessions, within the limits of rule 5, until we say never.
- *On the wire* to the relay all of this is inside TLS. On a direct path one sees two peers' TLS
  1.3, whose certificates are encrypted, and a first word made from the id, which says nothing.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.message import Message
from securechat.irc.text import cut_text
from securechat.values import value

__all__ = [
    "CANDIDATES_PER_SIGNAL",
    "CAPABILITY",
    "CERTIFICATE_BYTES",
    "CERTIFICATE_TAG",
    "COMMAND",
    "JOINED",
    "REASON_BYTES",
    "REFUSED",
    "TOKEN_CHARACTERS",
    "TUNNEL_ALPN",
    "TUNNEL_LINE_BYTES",
    "Announced",
    "Answer",
    "Candidate",
    "Candidates",
    "DeviceFound",
    "End",
    "FailCode",
    "Offer",
    "Reachable",
    "RelayPlace",
    "Signal",
    "Token",
    "Withdraw",
    "announce",
    "answer",
    "candidates",
    "certificate_tag",
    "fingerprint_of",
    "is_fingerprint",
    "is_id",
    "is_token",
    "list_reachable",
    "look_up",
    "offer",
    "parse_candidates",
    "parse_certificate",
    "parse_signal",
    "retract",
    "tunnel",
    "withdraw",
]

CAPABILITY: Final = "securechat/peer"
COMMAND: Final = "PEER"
CERTIFICATE_TAG: Final = "securechat/certificate"

CERTIFICATE_BYTES: Final = 2_048
"""Largest certificate of a device, in DER: one for P-256 has some 400; in base64 it fits the tags
of a line with room to spare."""

CANDIDATES_PER_SIGNAL: Final = 5
"""Most candidates in one signal: with the longest source and addresses they fit one line, and they
are what a device with two networks has, and one more."""

REASON_BYTES: Final = 200
"""Longest reason of a WITHDRAW; a longer one is cut."""

TUNNEL_ALPN: Final = "securechat-tunnel"
JOINED: Final = b"JOINED"
REFUSED: Final = b"REFUSED"

TOKEN_CHARACTERS: Final = 43
"""Of a token: 256 random bits in URL-safe base64 without padding."""

TUNNEL_LINE_BYTES: Final = 256
"""Longest line of a tunnel's beginning, either way, without its line feed."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_TOKEN: Final = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}")
_HOST: Final = re.compile(r"[^\s:/\[\]]{1,253}")
"""Of a relay, as far as it can be told apart from its port here."""
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_NOT_IN_A_LINE: Final = re.compile(r"[\0\r\n]")
_PORTS: Final = range(1, 65_536)


class FailCode(enum.StrEnum):
    """Why the relay refuses a signal."""

    ACCOUNT_REQUIRED = "ACCOUNT_REQUIRED"
    """The sender is not logged in."""
    NOT_ANNOUNCED = "NOT_ANNOUNCED"
    """The sender has not announced a device."""
    INVALID_CERTIFICATE = "INVALID_CERTIFICATE"
    """The tag is missing, or is no certificate of a device."""
    TOO_MANY_DEVICES = "TOO_MANY_DEVICES"
    """The account has as many devices as it may have."""
    INVALID_PARAMS = "INVALID_PARAMS"
    """A parameter is missing or has not its form; or there is no such subcommand."""
    NO_SUCH_PEER = "NO_SUCH_PEER"
    """There is no such account, or none of its devices can be reached now."""
    NO_SUCH_OFFER = "NO_SUCH_OFFER"
    """There is no offer or pair of that id for the sender (any more)."""
    ID_IN_USE = "ID_IN_USE"
    """There is an offer of that id already."""
    TOO_MANY_OFFERS = "TOO_MANY_OFFERS"
    """The sender, or the other side, has as many open offers and pairs as it may have."""
    RATE_LIMITED = "RATE_LIMITED"
    """Too many offers, requests for tunnels or announcements in a short time."""
    NO_TUNNEL = "NO_TUNNEL"
    """The relay has no tunnels, or no address to tell the other side, which is at another relay; or
    the account has as many as it may have."""
    TEMPORARILY_UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
    """The relay cannot read its database now."""


class Candidate(NamedTuple):
    """A place where a device may be reached directly: an IP address and a TCP port."""

    address: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


class RelayPlace(NamedTuple):
    """Where a relay is: a name or an IP address, and the port for clients. Whether such a host can
    be is left to who connects to it.
    """

    host: str
    port: int


# ---- what the relay tells a client ----


@value
class Announced:
    """We can be reached now. The relay sees us come from there, from port 0 if it does not know."""

    fingerprint: str
    address: str
    port: int


@value
class DeviceFound:
    """A device of an account; ``nick`` is empty when that is not on the network.

    Times are in milliseconds since 1970 UTC.
    """

    account: str
    nick: str
    certificate: bytes
    reachable: bool
    first_ms: int
    last_ms: int


@value
class Reachable:
    """Somebody can be reached as a peer, or no longer."""

    account: str
    nick: str
    now: bool = True


@value
class End:
    """The answer to ``LOOKUP`` (of ``name``) or ``LIST`` is complete."""

    subcommand: str
    name: str


@value
class Offer:
    """Somebody, by nick and account, wants a session between that device and ours."""

    nick: str
    account: str
    certificate: bytes
    id: str


@value
class Answer:
    """The offer was accepted, by that device."""

    nick: str
    account: str
    certificate: bytes
    id: str


@value
class Candidates:
    """Where the other side can be reached directly; nowhere, if there are none."""

    id: str
    candidates: tuple[Candidate, ...]


@value
class Token:
    """What opens our side of a tunnel, once; ``None``: at the relay that we are connected to."""

    id: str
    token: str
    relay: RelayPlace | None = None


@value
class Withdraw:
    """The offer or pair is over."""

    id: str
    reason: str


Signal = Announced | DeviceFound | Reachable | End | Offer | Answer | Candidates | Token | Withdraw


def parse_signal(message: Message) -> Signal | None:
    """Return what the relay tells by a PEER message; ``None`` for what a later version may add.

    :raises RemoteProtocolError: it has not the form above.
    """
    if not message.params:
        raise RemoteProtocolError("a PEER message without a subcommand")
    subcommand, *params = message.params
    parser = _PARSERS.get(subcommand.upper())
    if parser is None:
        return None
    least, parse = parser
    if len(params) < least:
        raise RemoteProtocolError("too few parameters for PEER {subcommand}", subcommand=subcommand)
    return parse(message, params)


def _announced(message: Message, params: list[str]) -> Announced:
    port = 0 if params[2] == "0" else _port(params[2])
    return Announced(_fingerprint(params[0]), _checked_address(params[1]), port)


def _device(message: Message, params: list[str]) -> DeviceFound:
    account, nick, fingerprint, reachable, first, last = params[:6]
    return DeviceFound(
        account,
        "" if nick == "*" else nick,
        _certificate(message, fingerprint),
        reachable == "+",
        _number(first),
        _number(last),
    )


def _reachable(message: Message, params: list[str]) -> Reachable:
    return Reachable(params[0], params[1], message.params[0].upper() == "REACHABLE")


def _end(message: Message, params: list[str]) -> End:
    return End(params[0].upper(), params[1])


def _offer(message: Message, params: list[str]) -> Offer:
    account, fingerprint, identifier = params[:3]
    certificate = _certificate(message, fingerprint)
    return Offer(message.nick, account, certificate, _id(identifier))


def _answer(message: Message, params: list[str]) -> Answer:
    account, fingerprint, identifier = params[:3]
    certificate = _certificate(message, fingerprint)
    return Answer(message.nick, account, certificate, _id(identifier))


def _candidates(message: Message, params: list[str]) -> Candidates:
    return Candidates(_id(params[0]), parse_candidates(params[1]))


def _token(message: Message, params: list[str]) -> Token:
    if not is_token(params[1]):
        raise RemoteProtocolError("not a token")
    return Token(_id(params[0]), params[1], _place(params[2]) if len(params) > 2 else None)


def _withdraw(message: Message, params: list[str]) -> Withdraw:
    return Withdraw(_id(params[0]), params[1] if len(params) > 1 else "")


_PARSERS: Final[dict[str, tuple[int, Callable[[Message, list[str]], Signal]]]] = {
    "ANNOUNCED": (3, _announced),
    "DEVICE": (6, _device),
    "REACHABLE": (2, _reachable),
    "UNREACHABLE": (2, _reachable),
    "END": (2, _end),
    "OFFER": (3, _offer),
    "ANSWER": (3, _answer),
    "CANDIDATES": (2, _candidates),
    "TOKEN": (2, _token),
    "WITHDRAW": (1, _withdraw),
}
"""Of each subcommand, how many parameters it has at least, and what reads it."""


# ---- what a client tells the relay ----


def announce(certificate: bytes) -> Message:
    """Return the signal that this device can be reached; the certificate is in DER."""
    return Message(COMMAND, ("ANNOUNCE",), tags=certificate_tag(certificate))


def retract() -> Message:
    """Return the signal that this device is to be reached no longer."""
    return Message(COMMAND, ("RETRACT",))


def look_up(name: str) -> Message:
    """Return the question for the devices of a nick or account."""
    return Message(COMMAND, ("LOOKUP", name))


def list_reachable() -> Message:
    """Return the question who can be reached now."""
    return Message(COMMAND, ("LIST",))


def offer(account: str, identifier: str, fingerprint: str = "*") -> Message:
    """Return an offer to a device of the account, or to all of them."""
    return Message(COMMAND, ("OFFER", account, fingerprint, identifier))


def answer(identifier: str) -> Message:
    """Return the acceptance of an offer."""
    return Message(COMMAND, ("ANSWER", identifier))


def candidates(identifier: str, found: Iterable[Candidate]) -> list[Message]:
    """Return the signals that tell the candidates; one that says so if there are none."""
    words = [str(candidate) for candidate in found]
    groups = [
        words[start : start + CANDIDATES_PER_SIGNAL]
        for start in range(0, len(words), CANDIDATES_PER_SIGNAL)
    ]
    return [
        Message(COMMAND, ("CANDIDATES", identifier, " ".join(group))) for group in groups or [[]]
    ]


def tunnel(identifier: str) -> Message:
    """Return the request for a tunnel."""
    return Message(COMMAND, ("TUNNEL", identifier))


def withdraw(identifier: str, reason: str = "") -> Message:
    """Return the end of an offer or pair; a reason of several lines becomes one."""
    line = _NOT_IN_A_LINE.sub(" ", reason)
    return Message(COMMAND, ("WITHDRAW", identifier, cut_text(line, REASON_BYTES)))


# ---- the parts ----


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_fingerprint(text: str) -> bool:
    """Whether ``text`` has the form of a fingerprint."""
    return _FINGERPRINT.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether ``text`` has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def fingerprint_of(certificate: bytes) -> str:
    """Return the name of the device with this certificate (DER)."""
    return hashlib.sha256(certificate).hexdigest()


def certificate_tag(certificate: bytes) -> dict[str, str]:
    """Return the tag that carries a certificate (DER).

    :raises LocalProtocolError: it is too large.
    """
    if not 0 < len(certificate) <= CERTIFICATE_BYTES:
        raise LocalProtocolError("a certificate of {size} bytes", size=len(certificate))
    return {CERTIFICATE_TAG: base64.b64encode(certificate).decode()}


def parse_certificate(message: Message) -> bytes:
    """Return the certificate (DER, unread) in the tag of ``message``.

    :raises RemoteProtocolError: there is none, or it is too large.
    """
    try:
        certificate = base64.b64decode(message.tags.get(CERTIFICATE_TAG, ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("a certificate that is not in base64") from error
    if not 0 < len(certificate) <= CERTIFICATE_BYTES:
        raise RemoteProtocolError("a certificate of {size} bytes", size=len(certificate))
    return certificate


def parse_candidates(text: str) -> tuple[Candidate, ...]:
    """Return the candidates in the last parameter of a signal.

    Which of them to try is another question; they have the right form, and are few.

    :raises RemoteProtocolError: one is not an address and a port, or there are too many.
    """
    words = text.split()
    if len(words) > CANDIDATES_PER_SIGNAL:
        raise RemoteProtocolError("over {limit} candidates", limit=CANDIDATES_PER_SIGNAL)
    return tuple(map(_candidate, words))


def _candidate(word: str) -> Candidate:
    address, colon, port = word.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    if not colon or bracketed is not (":" in address):
        raise RemoteProtocolError("a candidate that is not ADDRESS:PORT")
    return Candidate(_checked_address(address[1:-1] if bracketed else address), _port(port))


def _place(word: str) -> RelayPlace:
    host, _, port = word.rpartition(":")
    if host.startswith("["):
        return RelayPlace(*_candidate(word))
    if not _HOST.fullmatch(host):
        raise RemoteProtocolError("a relay that is not HOST:PORT")
    return RelayPlace(host, _port(port))


def _checked_address(text: str) -> str:
    # A zone (fe80::1%eth0) means something on one machine only.
    try:
        if "%" not in text:
            return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    raise RemoteProtocolError("not an IP address")


def _port(text: str) -> int:
    port = _number(text)
    if port not in _PORTS:
        raise RemoteProtocolError("not a port")
    return port


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise RemoteProtocolError("not a number")
    return int(text)


def _id(text: str) -> str:
    if not is_id(text):
        raise RemoteProtocolError("not the id of an offer")
    return text


def _fingerprint(text: str) -> str:
    if not is_fingerprint(text):
        raise RemoteProtocolError("not a fingerprint")
    return text


def _certificate(message: Message, fingerprint: str) -> bytes:
    certificate = parse_certificate(message)
    if fingerprint_of(certificate) != fingerprint:
        raise RemoteProtocolError("a certificate of another device")
    return certificate
