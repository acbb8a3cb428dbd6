"""The client: a protocol core, a public API for bots and user interfaces, and a line interface.

A bot needs this package and nothing below it: ``Client``, the events that come from it, and the
errors that it raises. So does a user interface: ``line_mode`` knows nothing but the events and
methods of ``Client``.

The package must not know the relay (``securechat.server``) nor its store: it speaks IRCv3, to any
server, over TLS that always verifies.

- ``events``       what a client hears
- ``protocol``     the sans-I/O core, with its parts ``session``, ``registration``, ``login``,
  ``deliveries``, ``interpret``, ``roster``
- ``client``       the public API; ``connector`` keeps it connected, ``link`` is one connection,
  ``event_queue`` lies between the I/O thread and the reader
- ``cli``          the program ``securechat-client``: ``line_mode`` on a ``terminal`` with a
  ``line_editor``, or ``pipe_mode``; ``commands`` are its slash-commands, ``safe_text`` guards the
  terminal
"""

from securechat.client.client import DEFAULT_PORT, Client
from securechat.client.events import (
    AccountChanged,
    AccountRequired,
    AwayChanged,
    ChannelRenamed,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Failure,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoggedIn,
    LoggedOut,
    LoginRejected,
    MemberSnapshot,
    ModeChanged,
    NamesReceived,
    NickChanged,
    NickRejected,
    NotDelivered,
    Parted,
    Quit,
    RawReceived,
    RealnameChanged,
    Redacted,
    Registered,
    Reply,
    TextKind,
    TextReceived,
    TopicChanged,
    VerificationRequired,
    Welcome,
)
from securechat.client.link import Timing
from securechat.errors import (
    CertificateRejected,
    ConnectionLost,
    LocalProtocolError,
    LoginFailed,
    NetworkError,
    SecureChatError,
)
from securechat.irc.message import Message

__all__ = [
    "DEFAULT_PORT",
    "AccountChanged",
    "AccountRequired",
    "AwayChanged",
    "CertificateRejected",
    "ChannelRenamed",
    "Client",
    "Connected",
    "ConnectionLost",
    "Delivered",
    "Disconnected",
    "Event",
    "Failure",
    "HostChanged",
    "Invited",
    "Joined",
    "Kicked",
    "LocalProtocolError",
    "LoggedIn",
    "LoggedOut",
    "LoginFailed",
    "LoginRejected",
    "MemberSnapshot",
    "Message",
    "ModeChanged",
    "NamesReceived",
    "NetworkError",
    "NickChanged",
    "NickRejected",
    "NotDelivered",
    "Parted",
    "Quit",
    "RawReceived",
    "RealnameChanged",
    "Redacted",
    "Registered",
    "Reply",
    "SecureChatError",
    "TextKind",
    "TextReceived",
    "Timing",
    "TopicChanged",
    "VerificationRequired",
    "Welcome",
]
