"""The one exception tree.

::

    SecureChatError
    ├── ProtocolError
    │   ├── LocalProtocolError      we tried to say something illegal: a bug or bad input of ours
    │   └── RemoteProtocolError     the other side said something illegal
    │       └── MessageTooLong      … by saying too much
    ├── ConfigError                 a configuration that cannot be used; names every mistake
    ├── NetworkError                the wire: cannot listen, cannot connect, connection lost
    │   ├── TlsError                the TLS layer failed
    │   │   └── CertificateRejected the other side's certificate failed a named check
    │   └── ConnectionLost
    ├── InviteLinkError             an invite link that cannot be read
    ├── PkiError                    a certificate or key cannot be made, read or used
    ├── StoreError                  what must survive cannot be read or written
    │   ├── NewerSchemaError        the database was written by a newer version
    │   ├── StoreBusy               the store's queue is full; try again later
    │   └── AccountExists
    └── LoginFailed                 the relay did not accept the credentials

Foreign exceptions are translated at the seam, once, with ``raise … from``. This module imports
nothing of the project.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AccountExists",
    "CertificateRejected",
    "ConfigError",
    "ConnectionLost",
    "InviteLinkError",
    "LocalProtocolError",
    "LoginFailed",
    "MessageTooLong",
    "NetworkError",
    "NewerSchemaError",
    "PkiError",
    "ProtocolError",
    "RemoteProtocolError",
    "SecureChatError",
    "StoreBusy",
    "StoreError",
    "TlsError",
    "gettext_noop",
]


def gettext_noop(message: str) -> str:
    """Return ``message`` as it is: it is marked here, and translated where it is shown."""
    return message


class SecureChatError(Exception):
    """Base of every error that securechat raises on purpose. ``str()`` is fit for a user.

    A user interface can say it in another language: ``message`` is the text with names in braces,
    ``values`` what stands for them. Without values the text is taken as it is, braces and all.
    """

    def __init__(self, message: str = "", /, **values: object) -> None:
        self.message = message
        self.values = values
        super().__init__(message.format(**values) if values else message)


class ProtocolError(SecureChatError):
    """Something was said that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """We tried to say it. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other side said it."""


class MessageTooLong(RemoteProtocolError):
    """The other side said more than is allowed."""


class ConfigError(SecureChatError):
    """A configuration that cannot be used.

    ``problems`` has one line for each mistake found, so that all can be mended in one go.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NetworkError(SecureChatError):
    """The wire failed: cannot listen, cannot connect, or the connection broke."""


class TlsError(NetworkError):
    """The TLS layer failed; the text says how."""


class CertificateRejected(TlsError):
    """The other side's certificate failed verification.

    ``check`` names the check in one word (``expired``, ``hostname``, ``untrusted``, …), ``advice``
    says what a person can do about it; it has no names in braces.
    """

    def __init__(self, message: str, /, *, check: str, advice: str, **values: object) -> None:
        self.check = check
        self.advice = advice
        super().__init__(message, **values)


class ConnectionLost(NetworkError):
    """The connection ended before the work was done."""


class InviteLinkError(SecureChatError):
    """It is not an invite link, or a damaged one."""


class PkiError(SecureChatError):
    """A certificate or key cannot be made, read or used."""


class StoreError(SecureChatError):
    """The store cannot be read or written."""


class NewerSchemaError(StoreError):
    """The database was written by a newer version of securechat."""


class StoreBusy(StoreError):
    """The store's queue is full. Nothing was written; the caller may try again later."""


class AccountExists(StoreError):
    """An account of that name exists already."""


class LoginFailed(SecureChatError):
    """The relay did not accept the credentials. ``str()`` is what it said."""
