"""Why a connection has failed, in plain words: what it means, what may have happened, what to do.

A certificate that fails its check may be a mistake of somebody, or an attack; a person who is to
decide must know of both. There is no advice here, and no way elsewhere, to go on without the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from securechat.client.relays import is_sent_away
from securechat.client.words.refusals import reason
from securechat.client.words.translation import _, explain, gettext_noop
from securechat.errors import (
    CertificateRejected,
    ConfigError,
    ConnectionLost,
    LoginFailed,
    PkiError,
    RemoteProtocolError,
    SecureChatError,
    StoreError,
    TlsError,
)

__all__ = ["Explanation", "Mend", "explain_failure"]

Mend = Literal["address", "trust"]
"""What may have to be another one: the address of the server, or the CA that is trusted."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failed connection in plain words, in the language in use. Immutable; all texts are safe.

    ``meaning``: what it means and what may have happened; ``advice``: what to do; ``words``: what
    the program itself says, for whoever helps. ``mend`` is which answer may have to
    be another one.
    """

    title: str
    meaning: str
    advice: str
    words: str
    mend: Mend


_Texts = tuple[Mend, str, str, str]
"""What may be mended, title, meaning and advice; the texts are marked."""

_EXPIRED: Final[_Texts] = (
    "trust",
    gettext_noop("The server's certificate has expired"),
    gettext_noop(
        "A certificate is valid for a limited time, and that of this server is over. Most often "
        "nobody has renewed it, or the clock of this computer is wrong. But an attacker may also "
        "show an old certificate whose key was stolen."
    ),
    gettext_noop(
        "Look at the date and the clock of this computer. If they are right, tell the person who "
        "runs the server to renew the certificate, and try again then."
    ),
)
_NOT_YET_VALID: Final[_Texts] = (
    "trust",
    gettext_noop("The server's certificate is not valid yet"),
    gettext_noop(
        "The certificate begins to be valid at a time that is still to come. Nearly always a clock "
        "is wrong: that of this computer, or that of the computer where the certificate was made."
    ),
    gettext_noop(
        "Set the date and the clock of this computer. If they are right, tell the person who runs "
        "the server."
    ),
)
_OTHER_HOST: Final[_Texts] = (
    "address",
    gettext_noop("The certificate is for another name"),
    gettext_noop(
        "The server has a certificate of a CA that you trust, but not for the address that you "
        "gave. Most often the address is mistyped, or the server has several names. But somebody "
        "may also have led you to another server than the one you want."
    ),
    gettext_noop(
        "Give the address exactly as you got it. If it is right, ask the person who "
        "runs the server for which names the certificate was made."
    ),
)
_OTHER_CA: Final[_Texts] = (
    "trust",
    gettext_noop("The certificate is not of the CA that you trust"),
    gettext_noop(
        "The server shows a certificate that was not issued by the CA in your file. Perhaps the "
        "file is that of another server, or the server has a new CA. It looks just the same when "
        "somebody stands between you and the server in order to read along."
    ),
    gettext_noop(
        "Ask the person who runs the server, by phone or face to face, for the CA certificate and "
        "its fingerprint; then choose that file."
    ),
)
_UNKNOWN_CA: Final[_Texts] = (
    "trust",
    gettext_noop("This system does not know the CA of the server"),
    gettext_noop(
        "Most private servers have a CA of their own, which no system knows: then this is to be "
        "expected, and you need its file. It looks just the same when somebody stands between you "
        "and the server in order to read along."
    ),
    gettext_noop(
        "Ask the person who runs the server, by phone or face to face, for the CA certificate and "
        "its fingerprint; then choose that file."
    ),
)
_NOT_OF_INVITE: Final[_Texts] = (
    "address",
    gettext_noop("This is not the server of your invite"),
    gettext_noop(
        "An invite link says by which CA its server is known, and what has answered does not have "
        "that CA. Perhaps the server has got a new one since the link was made. It looks just the "
        "same when somebody stands between you and the server in order to read along. Nothing of "
        "yours was told to it."
    ),
    gettext_noop(
        "Do not go on with this link. Ask the person who invited you, by phone or face to face, "
        "for a new one."
    ),
)
_NOT_OF_SYSTEM: Final[_Texts] = (
    "address",
    gettext_noop("The invite link does not say whom to trust"),
    gettext_noop(
        "A private server has a CA of its own, which an invite link names at its end. This link "
        "names none, and this system does not know the CA of the server. Most often the end of the "
        "link was lost when it was copied. But somebody may also stand between you and the server "
        "in order to read along. Nothing of yours was told to it."
    ),
    gettext_noop("Copy all of the link, to its end. If you have, ask for a new one."),
)
_INVALID: Final[_Texts] = (
    "trust",
    gettext_noop("The server's certificate did not pass the check"),
    gettext_noop(
        "The certificate is not in order: it was withdrawn, is not made for a server, or breaks "
        "the rules for certificates. That may be a mistake of the person who made it, or an attack."
    ),
    gettext_noop(
        "Tell the person who runs the server what is written below. You can do nothing about it "
        "here but try again later."
    ),
)
_BY_CHECK: Final[Mapping[str, _Texts]] = {
    "expired": _EXPIRED,
    "not-yet-valid": _NOT_YET_VALID,
    "hostname": _OTHER_HOST,
    "invite": _NOT_OF_INVITE,
    "untrusted": _OTHER_CA,
}
"""By ``CertificateRejected.check``; what is not here is ``_INVALID``."""

_NO_SUCH_HOST: Final[_Texts] = (
    "address",
    gettext_noop("There is no such host"),
    gettext_noop(
        "No address is known for this name. Most often the name is mistyped, or this computer is "
        "not connected to the internet, or the server is only known in another network."
    ),
    gettext_noop("Look at the name and at your connection to the network, and try again."),
)
_REFUSED: Final[_Texts] = (
    "address",
    gettext_noop("Nothing listens there"),
    gettext_noop(
        "The computer is there, but no program takes connections on this port. Most often the "
        "server does not run at the moment, or it has another port."
    ),
    gettext_noop("Look at the port, or ask the person who runs the server; then try again."),
)
_NO_ANSWER: Final[_Texts] = (
    "address",
    gettext_noop("There is no answer"),
    gettext_noop(
        "Nothing has come back in time. Most often the computer is switched off, the address is "
        "wrong, or a firewall on the way drops such connections."
    ),
    gettext_noop("Look at the address and at your connection to the network, and try again."),
)
_NO_WAY: Final[_Texts] = (
    "address",
    gettext_noop("There is no way to that address"),
    gettext_noop(
        "The network that this computer is in does not know how to get there. Most often the "
        "computer is offline, or a VPN that is needed is not switched on."
    ),
    gettext_noop("Look at your connection to the network, and try again."),
)
_NOT_TLS: Final[_Texts] = (
    "address",
    gettext_noop("The server does not speak TLS"),
    gettext_noop(
        "Something has answered, but without encryption. Most often the port is wrong: that of "
        "another service, or one for chat in plain text (often 6667). It may also be that somebody "
        "on the way takes the encryption out. This program never talks without it."
    ),
    gettext_noop("Give the port for TLS; it is most often 6697."),
)
_OLD_TLS: Final[_Texts] = (
    "address",
    gettext_noop("The server's encryption is too old"),
    gettext_noop(
        "The server knows only versions of TLS before 1.2, which can be broken; this program does "
        "not use them. Either the server is old, or somebody on the way makes it look so."
    ),
    gettext_noop("Ask the person who runs the server to allow TLS 1.2 or, better, 1.3."),
)
_BROKEN_OFF: Final[_Texts] = (
    "address",
    gettext_noop("The connection was broken off at its beginning"),
    gettext_noop(
        "Somebody has closed the connection before it was encrypted. Perhaps the port is that of "
        "another service, the server takes no more connections, or a firewall does not let you "
        "through."
    ),
    gettext_noop("Look at the port, and try again in a minute."),
)
_HANDSHAKE: Final[_Texts] = (
    "address",
    gettext_noop("No encrypted connection could be made"),
    gettext_noop(
        "You and the server could not agree on how to encrypt. Perhaps the port is that of another "
        "service, or something on the way disturbs the connection."
    ),
    gettext_noop(
        "Look at the port, and try again. If it stays so, tell the person who runs the server what "
        "is written below."
    ),
)
_NO_CA: Final[_Texts] = (
    "trust",
    gettext_noop("The CA certificate cannot be used"),
    gettext_noop("The file cannot be read, or there is no certificate in it."),
    gettext_noop("Choose the file again."),
)
_NO_CA_GIVEN: Final[_Texts] = (
    "address",
    gettext_noop("The server does not give its CA"),
    gettext_noop(
        "An invite link leads to a server that gives the certificate of its CA, so that it can be "
        "compared with the link. What has answered does not. Most often it is another service, or "
        "an older version of the server. But somebody may also stand in between."
    ),
    gettext_noop("Ask the person who invited you for a new link, or for the file of the CA."),
)
_NOT_IRC: Final[_Texts] = (
    "address",
    gettext_noop("This is not a chat server"),
    gettext_noop(
        "The connection is encrypted and the certificate is in order, but what the server says is "
        "not IRC. Most often the port is that of another service, such as a web site."
    ),
    gettext_noop("Give the port of the chat; it is most often 6697."),
)
_CLOSED: Final[_Texts] = (
    "address",
    gettext_noop("The server has ended the connection"),
    gettext_noop(
        "The connection was encrypted and the certificate was in order. What the server gave as "
        "the reason is written below."
    ),
    gettext_noop("Try again in a minute; if it stays so, ask the person who runs the server."),
)
_SENT_AWAY: Final[_Texts] = (
    "address",
    gettext_noop("Another device of yours has ended this connection"),
    gettext_noop(
        "Somebody who is logged in to your account has disconnected this device. That is most "
        "often you."
    ),
    gettext_noop(
        "To be here again, connect anew. If it was not you, ask the person who runs the server to "
        "change your password."
    ),
)
_LOGIN: Final[_Texts] = (
    "address",
    gettext_noop("The server does not let you in"),
    gettext_noop(
        "The connection was encrypted and the certificate was in order, but the server did not "
        "accept your nick, your account or your password."
    ),
    gettext_noop("Look at what is written below, and try again with other answers."),
)
_SETTINGS: Final[_Texts] = (
    "address",
    gettext_noop("The settings cannot be used"),
    gettext_noop("No connection was tried: something that belongs to it is not in order."),
    gettext_noop("Mend what is written below, and try again."),
)
_OTHER: Final[_Texts] = (
    "address",
    gettext_noop("The connection could not be made"),
    gettext_noop("What went wrong is written below."),
    gettext_noop("Look at the address and at your connection to the network, and try again."),
)
_BY_MESSAGE: Final[Mapping[str, _Texts]] = {
    "cannot find the host {host!r}; is the name right?": _NO_SUCH_HOST,
    "there is no relay at {name}; is the domain right?": _NO_SUCH_HOST,
    "cannot connect to {where}: nothing listens on that port": _REFUSED,
    "cannot connect to {where}: no answer": _NO_ANSWER,
    "cannot connect to {where}: there is no way to that network": _NO_WAY,
    "cannot connect to {where}: there is no way to that host": _NO_WAY,
    "the TLS handshake took too long": _NO_ANSWER,
    "the server does not answer any more": _NO_ANSWER,
    "the server does not give the certificate of its CA": _NO_CA_GIVEN,
    "connection closed during the TLS handshake": _BROKEN_OFF,
    "{ca}: not a certificate in PEM": _NO_CA,
    "{ca}: cannot be read ({reason})": _NO_CA,
}
"""By what the errors say: their kinds have no other names."""

_BY_TLS_REASON: Final = (
    ("wrong version number", _NOT_TLS),
    ("packet length too long", _NOT_TLS),
    ("record layer failure", _NOT_TLS),
    ("http request", _NOT_TLS),
    ("protocol version", _OLD_TLS),
    ("unsupported protocol", _OLD_TLS),
)
"""By a part of what OpenSSL says, in any of its versions. The bytes of another protocol look to it
like a version, or a length, that there is not."""


def explain_failure(
    error: SecureChatError, *, own_ca: bool = True, invited: bool = False
) -> Explanation:
    """Return in plain words why a connection has failed, in the language in use.

    :param own_ca: whether a CA of our own was trusted, not those of the system.
    :param invited: whether it was an invite link that said whom to trust.
    """
    mend, *texts = _texts_of(error, own_ca=own_ca, invited=invited)
    title, meaning, advice = map(_, texts)
    words = "\n".join(map(reason, explain(error).splitlines()))
    return Explanation(title, meaning, advice, words, mend)


def _texts_of(error: SecureChatError, *, own_ca: bool, invited: bool) -> _Texts:
    if isinstance(error, CertificateRejected):
        texts = _BY_CHECK.get(error.check, _INVALID)
        if texts is _OTHER_CA and invited:
            return _NOT_OF_INVITE if own_ca else _NOT_OF_SYSTEM
        return _UNKNOWN_CA if texts is _OTHER_CA and not own_ca else texts
    if isinstance(error, ConfigError | PkiError | StoreError):
        return _SETTINGS
    if error.message in _BY_MESSAGE:
        return _BY_MESSAGE[error.message]
    if isinstance(error, TlsError):
        said = str(error.values.get("reason", ""))
        return next((texts for part, texts in _BY_TLS_REASON if part in said), _HANDSHAKE)
    if isinstance(error, RemoteProtocolError):
        return _NOT_IRC
    if isinstance(error, LoginFailed):
        return _LOGIN
    if isinstance(error, ConnectionLost):
        return _SENT_AWAY if is_sent_away(error.message) else _CLOSED
    return _OTHER
