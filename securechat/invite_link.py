"""The invite link: all that somebody needs who has nothing yet.

::

    securechat://chat.example.org:6697/#token=Vx3…,room=%23friends,account=alice,ca=k0f…

It carries where the relay is, a token that opens an account there, and the SHA-256 of the CA
certificate by which the relay is known: so trust is set up before the first byte. What is behind
``#`` is never sent anywhere, should somebody put the link into a browser.

How it is used: the client connects with the protocol ``CA_ALPN``, and is given the certificate of
the CA, in PEM, after which the relay closes. If that is not the certificate that the link names,
the client stops. Else it keeps it, and connects anew, with this CA and no other to trust. Nothing
of the first connection is believed but what has the right hash.

Parts are separated by commas and values are percent-encoded (RFC 3986), so that the link means
nothing to a shell; what a reader does not know it ignores. A link without ``ca`` is for a relay
whose certificate is of a CA that every system knows. ``ca`` is last: of its last character programs
that find links in texts never think that it belongs to the sentence.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from securechat.errors import InviteLinkError, gettext_noop

__all__ = [
    "CA_ALPN",
    "CA_BYTES",
    "DEFAULT_PORT",
    "LINK_CHARS",
    "SCHEME",
    "InviteLink",
    "explain_invite_link",
    "format_invite_link",
    "is_invite_link",
    "parse_invite_link",
]

SCHEME: Final = "securechat://"

CA_ALPN: Final = "securechat-ca"
"""The application protocol (RFC 7301) by which a relay gives the certificate of its CA."""

CA_BYTES: Final = 16_384
"""The longest PEM that is taken for the certificate of a CA: one with a key of 16,384 bits is half
of it."""

DEFAULT_PORT: Final = 6697

LINK_CHARS: Final = 1_024
"""The longest link: a host of 253 characters, a room and an account of 128 bytes, and the rest."""

_CA_HASH_BYTES: Final = 32
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class InviteLink:
    """What an invite link says. Immutable.

    ``host`` is a name or an address, IPv6 without brackets. ``ca``: the SHA-256 of the CA's
    certificate (DER), ``None`` for a CA that the system knows. ``room``: where to go first;
    ``account``: the only one that the token can register; empty where the link names none.
    """

    host: str
    port: int
    token: str = field(repr=False)
    ca: bytes | None = None
    room: str = ""
    account: str = ""


def is_invite_link(text: str) -> bool:
    """Whether ``text`` is meant to be an invite link; it may still be a damaged one."""
    return text.strip().lower().startswith(SCHEME)


def format_invite_link(link: InviteLink) -> str:
    """Return the link as text."""
    parts = {"token": link.token, "room": link.room, "account": link.account}
    if link.ca is not None:
        parts["ca"] = base64.urlsafe_b64encode(link.ca).decode().rstrip("=")
    said = ",".join(f"{name}={quote(value, safe='')}" for name, value in parts.items() if value)
    return f"{SCHEME}{_format_place(link)}/#{said}"


def parse_invite_link(text: str) -> InviteLink:
    """Return what the link says. Blanks around it are nothing.

    :raises InviteLinkError: it is not an invite link, or a damaged one.
    """
    text = text.strip()
    if not is_invite_link(text):
        raise InviteLinkError("an invite link begins with securechat://")
    if len(text) > LINK_CHARS:
        raise InviteLinkError(
            "an invite link has at most {most} characters, this one has {count}",
            most=LINK_CHARS,
            count=len(text),
        )
    place, _, said = text[len(SCHEME) :].partition("#")
    host, port = _parse_place(place.removesuffix("/"))
    parts = _parse_parts(said)
    token, room, account = (parts.get(name, "") for name in ("token", "room", "account"))
    if not _TOKEN.fullmatch(token) or " " in room + account:  # they become words of commands
        raise _damaged()
    return InviteLink(host, port, token, _parse_hash(parts), room, account)


def _format_place(link: InviteLink) -> str:
    return f"[{link.host}]:{link.port}" if ":" in link.host else f"{link.host}:{link.port}"


def _damaged() -> InviteLinkError:
    return InviteLinkError("this invite link is not complete: copy all of it")


def _parse_place(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(DEFAULT_PORT)
    if not _HOST.fullmatch(host):
        raise _damaged()
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise InviteLinkError("this invite link has no usable port: copy all of it")
    return host.strip("[]"), int(port)


def _parse_parts(said: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in said.split(","):
        name, _, value = part.partition("=")
        try:
            decoded = unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise _damaged() from error
        if name in parts or not decoded.isprintable():
            raise _damaged()
        parts[name] = decoded
    return parts


def _parse_hash(parts: dict[str, str]) -> bytes | None:
    """Return the hash of the CA, ``None`` if none is named; never that for one that is damaged."""
    if "ca" not in parts:
        return None
    try:
        found = base64.b64decode(parts["ca"] + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged() from error
    if len(found) != _CA_HASH_BYTES:
        raise _damaged()
    return found


# ---- for other programs ----

_INTRODUCTION: Final = gettext_noop(
    "This is how the invite to {place} is used with WeeChat or irssi. In the commands, write a new "
    "password of your own, without spaces, in place of PASSWORD."
)
_ANY_NICK: Final = gettext_noop("Write the nick that you want in place of NICK.")
_ONE_NICK: Final = gettext_noop("The invite is for the nick {nick} only.")
_CA: Final = gettext_noop(
    "The server is known by this CA certificate; it is the one that the invite names. Save it in a "
    "file, with the lines BEGIN and END, and write the path of that file in place of FILE."
)
_CA_EVERYWHERE: Final = gettext_noop(
    "WeeChat then trusts it for all networks. If /set weechat.network.gnutls_ca_user shows that "
    "there is a file already, write both paths, with a colon between them."
)
_FIRST: Final = gettext_noop(
    "The first time, this makes your account, and uses the invite up (WeeChat before 4.0: -ssl in "
    "place of -tls):"
)
_LATER: Final = gettext_noop("Once you are there, have the program log in from now on:")
_ROOM: Final = gettext_noop("The invite leads to this room:")

_OWN_CA: Final = {
    "irssi_ca": " -tls_cafile FILE",
    "weechat_ca": '/set weechat.network.gnutls_ca_user "FILE"\n  ',
}

_FIRST_COMMANDS: Final = """\
WeeChat:
  {weechat_ca}/server add securechat {host}/{port} -tls -nicks={nick} -password={code}
  /connect securechat
irssi:
  /connect -tls -tls_verify{irssi_ca} {host} {port} {code} {nick}"""

_LATER_COMMANDS: Final = """\
WeeChat:
  /unset irc.server.securechat.password
  /set irc.server.securechat.sasl_mechanism plain
  /set irc.server.securechat.sasl_username {nick}
  /set irc.server.securechat.sasl_password PASSWORD
  /save
irssi:
  /network add -nick {nick} -sasl_mechanism PLAIN -sasl_username {nick} \
-sasl_password PASSWORD securechat
  /server add -auto -network securechat -tls -tls_verify{irssi_ca} {host} {port}
  /save"""

_COLUMNS: Final = 80
"""Where lines of text end: a terminal has that many, and breaks longer ones within words."""


def explain_invite_link(
    link: InviteLink, ca_pem: str, *, translate: Callable[..., str] = str.format
) -> str:
    """Return how the invite is used in WeeChat and irssi, which do not know such links.

    :param ca_pem: the certificate of the CA, which the caller has compared with the link; empty if
        the link names none.
    :param translate: returns a text with values for its names in braces; the texts are marked.
    """
    nick = link.account or "NICK"
    code = f"invite:{link.token}:{nick}:PASSWORD"
    values = {"host": link.host, "port": link.port, "nick": nick, "code": code}
    values |= _OWN_CA if ca_pem else dict.fromkeys(_OWN_CA, "")
    names = translate(_ONE_NICK if link.account else _ANY_NICK, nick=nick)
    parts = [_fill(f"{translate(_INTRODUCTION, place=_format_place(link))} {names}")]
    if ca_pem:
        parts += [_fill(translate(_CA)), ca_pem.strip(), _fill(translate(_CA_EVERYWHERE))]
    parts += [_fill(translate(_FIRST)), _FIRST_COMMANDS.format(**values)]
    parts += [_fill(translate(_LATER)), _LATER_COMMANDS.format(**values)]
    if link.room:
        parts += [_fill(translate(_ROOM)), f"  /join {link.room}"]
    return "\n\n".join(parts) + "\n"


def _fill(text: str) -> str:
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)
