"""The configuration: what there is to set.

Each setting is a field below with its default, what is allowed, and its explanation; the parser,
the checks and the printed default file (``config_file``) are made from these, so they cannot
disagree. Command-line flags override the file, the file overrides the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securechat.net.tls import TlsVersion
from securechat.server import config_checks as checks
from securechat.server.state import AlwaysOn
from securechat.store.passwords import Argon2Parameters
from securechat.store.postgres_url import PostgresUrl

__all__ = [
    "AccountsConfig",
    "ClusterConfig",
    "Config",
    "GatewayConfig",
    "HistoryConfig",
    "LimitsConfig",
    "LogConfig",
    "MetricsConfig",
    "OperatorConfig",
    "PeersConfig",
    "ServerConfig",
    "StoreConfig",
    "TlsConfig",
    "WebSocketConfig",
]


def _setting(default: Any, check: checks.Check, doc: str) -> Any:
    return field(default=default, metadata={"check": check, "doc": doc})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Who the relay is and where it listens."""

    name: str = _setting(
        "securechat.local",
        checks.text(
            "a name with a dot, without spaces, at most 63 characters",
            lambda v: (
                "." in v
                and len(v) <= 63
                and v.isascii()
                and v.replace(".", "a").replace("-", "a").isalnum()
            ),
        ),
        "The relay's name, as it appears in its messages. It needs no DNS entry.",
    )
    network: str = _setting(
        "securechat",
        checks.text(
            "1 to 40 printable characters without spaces",
            lambda v: 1 <= len(v) <= 40 and checks.single_line(v) and " " not in v,
        ),
        "The name of your chat, as clients show it.",
    )
    motd: str = _setting(
        "",
        checks.text(
            "a string, at most 8,192 characters", lambda v: len(v) <= 8192 and "\0" not in v
        ),
        'The message of the day; several lines in """…""". Empty: none.',
    )
    description: str = _setting(
        "A private chat",
        checks.text(
            "1 to 100 printable characters", lambda v: 1 <= len(v) <= 100 and checks.single_line(v)
        ),
        "What the relay is, in a few words; shown by WHOIS and LINKS.",
    )
    admin: str = _setting(
        "",
        checks.text(
            "up to three lines of at most 100 printable characters",
            lambda v: (
                len(v.strip().splitlines()) <= 3
                and all(
                    len(line) <= 100 and checks.single_line(line) for line in v.strip().splitlines()
                )
            ),
        ),
        "Who runs the relay, for ADMIN: up to three lines, where, who and at last an e-mail "
        "address. Empty: none is given.",
    )
    icon_url: str = _setting(
        "",
        checks.text(
            "a URL that begins with https://, at most 200 printable ASCII characters, or empty",
            lambda v: (
                not v
                or (
                    v.startswith("https://")
                    and len(v) <= 200
                    and v.isascii()
                    and checks.single_line(v)
                    and " " not in v
                )
            ),
        ),
        "A picture that clients may show for your chat. Empty: none.",
    )
    casemapping: str = _setting(
        "ascii",
        checks.casemapping,
        'Which nicks and room names are the same. "ascii": nicks are ASCII. "precis": all scripts '
        "(RFC 8265), and who looks like somebody else is refused; it needs "
        'pip install "securechat[unicode]".',
    )
    listen: tuple[tuple[str, int], ...] = _setting(
        (("localhost", 6697),),
        checks.addresses,
        "Where to listen: HOST:PORT, [IPv6]:PORT. A name stands for all its addresses; "
        '"0.0.0.0:6697" and "[::]:6697" are all of this machine. Always TLS.',
    )
    password_hash: str = _setting(
        "",
        checks.optional_password_hash,
        "The hash of a password that everybody must give (PASS) who has no account to log in to; "
        'made by "securechat-server hash-password". Empty: none.',
    )
    io_threads: int = _setting(
        1,
        checks.number(1, 64),
        "Threads that serve connections. While Python has a GIL one is the fastest: two take turns "
        "at it, and each turn costs. Without: as many as there are processors.",
    )


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The relay's certificate and what it accepts."""

    certificate: Path = _setting(
        Path("certs/server.pem"), checks.path, "The relay's certificate with its chain, PEM."
    )
    key: Path = _setting(Path("certs/server-key.pem"), checks.path, "Its private key, PEM.")
    client_ca: Path | None = _setting(
        None,
        checks.optional_path,
        "A CA whose client certificates log their holder in (SASL EXTERNAL): the name in the "
        "certificate is the account. Empty: nobody logs in that way. Usually certs/ca.pem.",
    )
    minimum_version: TlsVersion = _setting(
        "1.3",
        checks.choice("1.2", "1.3"),
        'The oldest TLS that is accepted. "1.2" for old clients.',
    )
    sts_names: tuple[str, ...] = _setting(
        (),
        checks.texts('a list of host names such as ["chat.example.org"]', checks.is_public_name),
        "The host names whose clients are told never to connect without TLS from then on (STS). A "
        "client that has been told refuses the name once its certificate cannot be verified, also "
        "where its user had switched that off: so none by default, as it is for you to say that "
        "everybody has the CA. Clients that ask for another name, or none, are not told.",
    )
    sts_duration_s: int = _setting(
        2_592_000,
        checks.number(0, 315_360_000),
        "For how many seconds they then keep to it, counted from their last visit. 0 takes it "
        "back from those who come.",
    )
    sts_preload: tuple[str, ...] = _setting(
        (),
        checks.texts('a list of host names such as ["chat.example.org"]', checks.is_public_name),
        "Those of sts_names that may be put into clients from the start (preload lists).",
    )


@dataclass(frozen=True, slots=True)
class WebSocketConfig:
    """Chat from web pages: IRC over WebSocket (wss://), with the same certificate."""

    listen: tuple[tuple[str, int], ...] = _setting(
        (),
        checks.optional_addresses,
        "Where to listen for WebSocket, as in [server]; on ports of its own. Empty: nowhere.",
    )
    origins: tuple[str, ...] = _setting(
        (),
        checks.texts(
            'a list of origins such as ["https://chat.example.org"], or ["*"]',
            checks.is_origin,
        ),
        "The web pages that may connect, each as scheme://host or scheme://host:port in lower case,"
        ' with no path. "*": any page. Empty: none. What is not a browser needs no permission.',
    )


@dataclass(frozen=True, slots=True)
class AccountsConfig:
    """Who may register and log in."""

    registration: str = _setting(
        "open",
        checks.choice("open", "invite", "closed"),
        'Who may register an account: anyone ("open"), whoever has an invite made by '
        '"securechat-server invite" ("invite"), nobody ("closed"). Where nothing is set it is '
        '"open" on a relay that only listens on this machine\'s own addresses (localhost), '
        '"invite" on any other.',
    )
    required: bool = _setting(
        False,
        checks.flag,
        "Whether one must be logged in to chat at all; false lets guests in, but for a relay whose "
        'registration is "invite": nobody gets in there without one.',
    )
    before_connect: bool = _setting(
        True,
        checks.flag,
        "Whether one may register an account before one is on the network; where one must be "
        "logged in to chat, there is no other time.",
    )
    always_on: AlwaysOn = _setting(
        "opt-in",
        checks.choice("off", "opt-in", "opt-out"),
        "Who stays in the chat, shown as away, while no device of theirs is connected: nobody "
        '("off"), whoever asks for it by SET always-on on ("opt-in"), all accounts but those that '
        'SET always-on off ("opt-out"). Being seen when one has left is a choice of one\'s own.',
    )
    always_on_days: int = _setting(
        90,
        checks.number(0, 36_500),
        "Days after which somebody who is always on, and has not come back, is gone; 0 for never.",
    )
    argon2_memory_kib: int = _setting(
        19_456,
        checks.number(8_192, 4_194_304),
        "Memory for hashing one password with Argon2id, in KiB. Two are hashed at a time. "
        "Stored hashes are upgraded when their owner logs in.",
    )
    argon2_iterations: int = _setting(
        2, checks.number(1, 64), "Passes of Argon2id over that memory."
    )
    password_length: int = _setting(
        8,
        checks.number(1, 64),
        "Characters of a new password, at least (NIST SP 800-63B asks for 8).",
    )
    login_attempts: int = _setting(
        5, checks.number(1, 1_000), "Failed logins on one connection before it is closed."
    )
    failures_per_minute: int = _setting(
        10,
        checks.number(0, 100_000),
        "Failed logins in a minute from each address, and five times as many to each account; "
        "0 for no limit.",
    )

    def oldest_presence_ms(self, now_ms: int) -> int:
        """Return since when somebody may be without a device, to be there still at ``now_ms``."""
        return now_ms - self.always_on_days * 86_400_000 if self.always_on_days else 0

    @property
    def login_required(self) -> bool:
        """Whether one must be logged in to chat."""
        return self.required or self.registration == "invite"

    @property
    def argon2(self) -> Argon2Parameters:
        """The parameters of new password hashes."""
        return Argon2Parameters(self.argon2_memory_kib, self.argon2_iterations, 1)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """What must last."""

    path: Path = _setting(
        Path("data/securechat.db"),
        checks.path,
        "The database file; its folder is made if there is none. With --data DIR it is in there.",
    )
    url: PostgresUrl | None = _setting(
        None,
        checks.optional_postgres_url,
        "A PostgreSQL in place of the file, as in "
        '"postgresql://relay@db.example.org/chat?sslmode=verify-full&sslrootcert=/etc/ca.pem"; '
        "several relays can share it. Without verify-full only on this machine. It needs "
        'pip install "securechat[cluster]".',
    )
    password_file: Path | None = _setting(
        None,
        checks.optional_path,
        "A file with its password, on its first line. Else that is in the url, or in ~/.pgpass.",
    )


"""A value of CLIENTTAGDENY: some tags, or all but some."""


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """What is kept of what people say and do, and who may read it."""

    enabled: bool = _setting(
        True,
        checks.flag,
        "Whether messages are kept at all: those in rooms, and those to or from an account.",
    )
    before_joining: bool = _setting(
        True,
        checks.flag,
        "Whether members may read what was said before they came, in rooms that anyone may enter "
        "(neither +i nor +k).",
    )
    page: int = _setting(
        100, checks.number(1, 1_000), "Messages that a client may ask for at once (CHATHISTORY)."
    )
    days: int = _setting(
        365, checks.number(0, 100_000), "Days after which a message is deleted, 0 for never."
    )
    messages_per_room: int = _setting(
        100_000,
        checks.number(0, 1_000_000_000),
        "Entries (messages, and joins and the like) that are kept of one room, or of what two "
        "people say to each other; the oldest go first. 0 for no limit.",
    )
    replay_lines: int = _setting(
        50,
        checks.number(0, 1_000),
        "Missed messages of each room that people with an account are sent when they come back, if "
        "their client does not fetch them itself (CHATHISTORY). 0 for none.",
    )
    redact_seconds: int = _setting(
        0,
        checks.number(0, 1_000_000_000),
        "Seconds in which people may delete what they have said, 0 for ever. Operators of a room "
        "delete at any time.",
    )


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """Sessions between people's devices: the relay lets them find each other, or carries them."""

    enabled: bool = _setting(
        True,
        checks.flag,
        "Whether it does (PEER). It carries only what has no direct way, through tunnels that it "
        "cannot look into.",
    )
    tunnels_per_account: int = _setting(
        8,
        checks.number(1, 1_000),
        "Tunnels that one account may have at a time; each counts for both its sides.",
    )
    tunnel_bytes_per_s: int = _setting(
        12_500_000,
        checks.number(0, 1_000_000_000_000),
        "Bytes that may pass each second in all tunnels of one account, both directions together; "
        "beyond, they are made to wait. 0 for no limit.",
    )
    tunnel_idle_s: float = _setting(
        120.0,
        checks.number(15, 3600, float),
        "Seconds of silence after which a tunnel is closed. Who is there says something every 10.",
    )


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """The limits. Each protects the relay or other people from one client."""

    connections: int = _setting(
        16_000, checks.number(1, 1_000_000), "Connections in all; the next is turned away."
    )
    connections_per_address: int = _setting(
        64,
        checks.number(0, 1_000_000),
        "Connections from one address (IPv6: one /64); 0 for no limit. Loopback has none.",
    )
    handshake_timeout_s: float = _setting(
        10.0, checks.number(1, 600, float), "Seconds in which the TLS handshake must be done."
    )
    registration_timeout_s: float = _setting(
        60.0,
        checks.number(5, 3600, float),
        "Seconds from the handshake in which nick and login must be given.",
    )
    ping_interval_s: float = _setting(
        90.0, checks.number(5, 3600, float), "Seconds of silence after which a client is pinged."
    )
    ping_timeout_s: float = _setting(
        60.0, checks.number(5, 3600, float), "Seconds it then has to answer."
    )
    sendq_bytes: int = _setting(
        1_048_576,
        checks.number(65_536, 1_073_741_824),
        "Bytes that may wait for one client that reads too slowly; beyond, it is disconnected.",
    )
    input_queue_bytes: int = _setting(
        32_768,
        checks.number(4_608, 16_777_216),
        "Bytes of commands that may wait their turn for one client; beyond, it is disconnected "
        "(Excess Flood).",
    )
    commands_per_s: float = _setting(
        5.0,
        checks.number(0, 1_000_000, float),
        "Commands of one client that are done each second, after a burst; 0 for no limit.",
    )
    command_burst: int = _setting(40, checks.number(1, 1_000_000), "How many may come at once.")
    multiline_bytes: int = _setting(
        4_096,
        checks.number(512, 65_536),
        "Bytes of text in one message of several lines (draft/multiline).",
    )
    multiline_lines: int = _setting(
        32,
        checks.number(2, 1_000),
        "Lines in one such message. Clients that do not know them get all lines at once.",
    )
    denied_client_tags: str = _setting(
        "",
        checks.text(
            'names of client-only tags without "+", such as "typing,draft/react", or "*,-reply"',
            checks.is_tag_list,
        ),
        "Client-only tags that are not passed on (CLIENTTAGDENY), separated by commas; "
        '"*,-reply" stands for all but reply. Empty: all are passed on.',
    )
    batch_timeout_s: float = _setting(
        30.0, checks.number(1, 600, float), "Seconds in which such a message must be complete."
    )
    channels_per_user: int = _setting(
        100, checks.number(1, 100_000), "Channels one user may be in."
    )
    list_entries: int = _setting(
        100, checks.number(1, 10_000), "Entries in all lists of a channel together."
    )
    monitored_nicks: int = _setting(
        100,
        checks.number(1, 10_000),
        "Nicks of whose coming and going one client may be told (MONITOR).",
    )
    whowas_entries: int = _setting(
        1_000,
        checks.number(0, 100_000),
        "People who have left or changed their nick whom WHOWAS knows; some 500 bytes each.",
    )
    rooms_per_account: int = _setting(
        30, checks.number(1, 100_000), "Rooms that one account may own."
    )
    metadata_keys: int = _setting(
        50, checks.number(1, 1_000), "Keys of metadata that each account and channel may have."
    )
    metadata_subscriptions: int = _setting(
        100, checks.number(1, 1_000), "Keys of metadata that one client may subscribe to."
    )
    metadata_value_bytes: int = _setting(
        256,
        checks.number(16, 280),
        "Bytes in a value of metadata: key, target and value fit one line.",
    )
    targets: int = _setting(
        4, checks.number(1, 100), "Targets of one command: recipients, or people to kick."
    )
    modes: int = _setting(12, checks.number(1, 100), "Modes with a parameter in one MODE command.")
    nick_length: int = _setting(30, checks.number(5, 64), "Characters in a nick.")
    user_length: int = _setting(20, checks.number(5, 64), "Characters in a user name.")
    channel_length: int = _setting(64, checks.number(8, 128), "Bytes in a channel's name.")
    topic_length: int = _setting(300, checks.number(50, 400), "Bytes in a topic.")
    away_length: int = _setting(200, checks.number(20, 400), "Bytes in an away message.")
    kick_length: int = _setting(250, checks.number(20, 300), "Bytes in the reason of a kick.")
    realname_length: int = _setting(150, checks.number(20, 200), "Bytes in a real name.")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Figures for Prometheus, and whether all is well; for whoever watches over the relay."""

    listen: tuple[tuple[str, int], ...] = _setting(
        (),
        checks.optional_addresses,
        'Where to listen for HTTP: "127.0.0.1:9697", say, for /metrics (Prometheus) and /healthz. '
        "It is plain HTTP and for anybody who gets there: no address that strangers can reach. "
        'Empty: nowhere. It needs pip install "securechat[metrics]".',
    )


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Several relays that are one chat, over NATS with JetStream; [store] is PostgreSQL then."""

    nats: tuple[str, ...] = _setting(
        (),
        checks.texts(
            'a list of URLs such as ["tls://nats1.example.org:4222"]; without TLS, nats://, only '
            "to this machine",
            checks.is_nats_url,
        ),
        "The NATS servers. Empty: this relay is the only one. It needs "
        'pip install "securechat[cluster]".',
    )
    relay: str = _setting(
        "",
        checks.text(
            "up to 63 letters, digits and hyphens", lambda v: not v or checks.is_relay_name(v)
        ),
        "What this relay is called among the others. No other has this name; one that comes back "
        "has the same as before.",
    )
    address: str = _setting(
        "",
        checks.text(
            'as in "chat1.example.org:6697"', lambda v: not v or checks.is_public_address(v)
        ),
        "Where clients reach this relay: all relays tell it to their clients, which go there when "
        "theirs is lost. Empty: it is told to nobody.",
    )
    ca: Path | None = _setting(
        None,
        checks.optional_path,
        "The CA of the NATS servers, as PEM; without one those that the system trusts.",
    )
    user: str = _setting(
        "", checks.text("one line", checks.single_line), "The user of the NATS servers."
    )
    password_file: Path | None = _setting(
        None, checks.optional_path, "A file with the password of that user, on its first line."
    )
    credentials: Path | None = _setting(
        None,
        checks.optional_path,
        "A file with credentials (.creds), in place of user and password.",
    )
    stream: str = _setting(
        "securechat",
        checks.text("1 to 63 letters, digits and hyphens", checks.is_relay_name),
        "What the stream of this chat is called; its subjects begin with it.",
    )
    replicas: int = _setting(
        3,
        checks.number(1, 5),
        "On how many NATS servers each event is kept: 3 of 3 go on without one. Counts when the "
        "stream is made, by the first relay that starts.",
    )
    stream_mib: int = _setting(
        1024,
        checks.number(16, 1_048_576),
        "How large the stream may become, in MiB. What a snapshot holds is taken out of it; if "
        "that is not possible for long, nothing more is accepted.",
    )
    lease_s: int = _setting(
        10,
        checks.number(3, 600),
        "For how long a relay may be silent, in seconds, before the others take it for lost and "
        "its people for gone.",
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the relay writes of its doings, to the standard error output."""

    format: str = _setting(
        "text",
        checks.choice("text", "json"),
        'How: lines for people ("text"; in the journal of systemd without the time, which that '
        'has) or one JSON object on each line ("json").',
    )
    level: str = _setting(
        "info",
        checks.choice("debug", "info", "warning", "error"),
        "The least that is written.",
    )


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """Somebody who may use OPER."""

    name: str = _setting(
        "",
        checks.text(
            "1 to 30 letters, digits, - and _",
            lambda v: v.replace("-", "a").replace("_", "a").isalnum() and len(v) <= 30,
        ),
        "The name given to OPER.",
    )
    password_hash: str = _setting(
        "",
        checks.password_hash,
        'Made by "securechat-server hash-password"; never the password itself.',
    )

    @staticmethod
    def lacking(given: set[str]) -> str:
        """Return which settings there should be besides those ``given``."""
        return "" if {"name", "password_hash"} <= given else "a name and a password_hash"


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """A web gateway that may say for whom it connects (WEBIRC)."""

    name: str = _setting(
        "",
        checks.text("1 to 40 printable characters", checks.is_gateway_name),
        "What the log calls it.",
    )
    password_hash: str = _setting(
        "", checks.password_hash, 'Of its password; made by "securechat-server hash-password".'
    )
    addresses: tuple[str, ...] = _setting(
        (),
        checks.networks,
        "Its addresses, as networks. Its password needs them; its certificate, no.",
    )
    fingerprint: str = _setting(
        "",
        checks.fingerprint,
        "The SHA-256 fingerprint of its client certificate, which is of the client_ca.",
    )

    @staticmethod
    def lacking(given: set[str]) -> str:
        """Return which settings there should be besides; a certificate stands for itself."""
        if "name" in given and ("fingerprint" in given or {"password_hash", "addresses"} <= given):
            return ""
        return "a name, and a fingerprint or a password_hash with addresses"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. Immutable."""

    server: ServerConfig = ServerConfig()
    tls: TlsConfig = TlsConfig()
    websocket: WebSocketConfig = WebSocketConfig()
    accounts: AccountsConfig = AccountsConfig()
    store: StoreConfig = StoreConfig()
    history: HistoryConfig = HistoryConfig()
    peers: PeersConfig = PeersConfig()
    limits: LimitsConfig = LimitsConfig()
    metrics: MetricsConfig = MetricsConfig()
    cluster: ClusterConfig = ClusterConfig()
    log: LogConfig = LogConfig()
    operators: tuple[OperatorConfig, ...] = ()
    webirc: tuple[GatewayConfig, ...] = ()
