"""The client: a protocol core, a public API for bots and user interfaces, and a line interface.

A bot needs this package and nothing below it: ``Client``, the events that come from it, and the
errors that it raises. So does a user interface: ``line_mode`` knows nothing but the events and
methods of ``Client``. Sessions with peers, and files, are ``Client.peers``.

The package must not know the relay (``securechat.server``) nor its store: it speaks IRCv3, to any
server, over TLS that always verifies.

- ``events``       what a client hears
- ``protocol``     the sans-I/O core, with its parts ``session``, ``registration``, ``login``,
  ``deliveries``, ``interpret``, ``roster``
- ``client``       the public API; ``connector`` keeps it connected, ``link`` is one connection,
  ``event_queue`` lies between the I/O thread and the reader; ``peers`` is the part of the API that
  deals with peers, ``peer_side`` what lies between these and the connection
- ``cli``          the program ``securechat-client``: ``line_mode`` on a ``terminal`` with a
  ``line_editor``, ``pipe_mode``, or ``file_mode`` with a ``file_console``; ``downloads`` is where
  files go
- ``commands``     the slash-commands: ``chat_commands``, ``peer_commands`` and ``own_commands``,
  in one ``command_table``; ``peer_desk`` keeps what peers leave for the user to do
- ``routing``      which way a text goes, in a session or through the relay
- ``wording``      how events read, with ``peer_wording``; ``safe_text`` guards the terminal
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
    Found,
    HistoryItem,
    HistoryReceived,
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
    PresenceReceived,
    Quit,
    RawReceived,
    Reacted,
    ReadMarked,
    RealnameChanged,
    Redacted,
    Registered,
    Reply,
    RequestFailed,
    TargetsReceived,
    TextKind,
    TextReceived,
    TopicChanged,
    Typing,
    VerificationRequired,
    Welcome,
)
from securechat.client.link import Timing
from securechat.client.peers import DeviceTrust, Peers, Trust
from securechat.errors import (
    CertificateRejected,
    ConnectionLost,
    LocalProtocolError,
    LoginFailed,
    NetworkError,
    PkiError,
    SecureChatError,
    StoreError,
)
from securechat.irc.message import Message
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
    FileSending,
    PathKind,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerReachable,
    PeerSnapshot,
    PeerState,
    PeerTyping,
)
from securechat.peer.hub import Settings as PeerSettings
from securechat.peer.identity import default_folder
from securechat.peer.known_peers import KnownDevice, Policy, Safety
from securechat.peer.transfers import TransferSnapshot

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
    "DeviceTrust",
    "Disconnected",
    "Event",
    "Failure",
    "FileAccepted",
    "FileEnded",
    "FileFinished",
    "FileOffered",
    "FileProgress",
    "FileSending",
    "Found",
    "HistoryItem",
    "HistoryReceived",
    "HostChanged",
    "Invited",
    "Joined",
    "Kicked",
    "KnownDevice",
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
    "PathKind",
    "PeerAsked",
    "PeerClosed",
    "PeerIdentityChanged",
    "PeerLost",
    "PeerOpened",
    "PeerReachable",
    "PeerSettings",
    "PeerSnapshot",
    "PeerState",
    "PeerTyping",
    "Peers",
    "PkiError",
    "Policy",
    "PresenceReceived",
    "Quit",
    "RawReceived",
    "Reacted",
    "ReadMarked",
    "RealnameChanged",
    "Redacted",
    "Registered",
    "Reply",
    "RequestFailed",
    "Safety",
    "SecureChatError",
    "StoreError",
    "TargetsReceived",
    "TextKind",
    "TextReceived",
    "Timing",
    "TopicChanged",
    "TransferSnapshot",
    "Trust",
    "Typing",
    "VerificationRequired",
    "Welcome",
    "default_folder",
]
