"""The networks and settings of this user: what ``profiles.toml`` may say, read and checked in full.

::

    last = "home"                          # opened when no network is named
    language = "ru"
    theme = "dark"

    [notifications]
    bell = true
    desktop = "osc777"

    [networks.home]
    host = "chat.example.org"
    relays = ["chat2.example.org:6700"]    # further ones of the same chat
    srv = "example.org"                    # whose relays are looked up in the DNS
    learned = ["chat3.example.org:6697"]   # what a relay has announced; the client writes this
    ca = "home-ca.pem"                     # paths are relative to the folder of this file
    nick = "ann"
    password = { from = "keyring" }        # where it is; never the password itself
    rooms = ["#home"]

    [networks.home.notify]
    "#home" = "mentions"

Keys that are not known are let pass: another version may know them. ``profile_file`` changes the
file.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from securechat.client.relays import DEFAULT_PORT, RelayAddress, check_host, parse_relay
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.errors import ConfigError

__all__ = [
    "DesktopNotification",
    "Network",
    "Notifications",
    "Notify",
    "PasswordKind",
    "PasswordSource",
    "Profiles",
    "default_profiles",
    "is_network_name",
    "load_profiles",
    "parse_profiles",
    "read_text",
]

Notify = Literal["all", "mentions", "none"]
"""What of a conversation is worth a notification."""

DesktopNotification = Literal["osc777", "osc99", "off"]
"""The escape sequence by which the terminal is asked to notify, if any."""

PasswordKind = Literal["prompt", "file", "command", "keyring"]
"""Where a password comes from; ``passwords`` gets it from there."""

_NETWORK_NAME: Final = re.compile(r"[^\W_][\w.-]{0,39}")
"""It is also a part of the names of files, and an argument of the command line."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """Where a password is, not the password. Immutable.

    ``path`` is for ``file``; ``run``, program and arguments, is for ``command``.
    """

    kind: PasswordKind
    path: Path | None = None
    run: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A network and who we are there. Immutable.

    ``relays`` are tried after ``host``, then those of the domain ``srv``, then those ``learned``;
    ``host`` may be empty where there is a domain. ``account`` empty: the nick. ``password``
    ``None``: no login by password. ``ca`` ``None``: what the system trusts. ``notify`` has
    conversations as the user spells them; to compare names is up to whoever knows the casemapping
    of the network.
    """

    host: str
    nick: str
    port: int = DEFAULT_PORT
    relays: tuple[RelayAddress, ...] = ()
    srv: str = ""
    learned: tuple[RelayAddress, ...] = ()
    ca: Path | None = None
    account: str = ""
    realname: str = ""
    password: PasswordSource | None = None
    certificate: Path | None = None
    key: Path | None = None
    rooms: tuple[str, ...] = ()
    peers: bool = True
    autoconnect: bool = True
    notify: Mapping[str, Notify] = field(default_factory=dict)

    @property
    def relay(self) -> str:
        """The first relay as ``HOST:PORT``, or the domain; passwords are kept under that name."""
        return str(RelayAddress(self.host, self.port)) if self.host else self.srv

    @property
    def server(self) -> str:
        """What it goes by where it has no name: its first host, or the domain."""
        return self.host or self.srv

    @property
    def given(self) -> tuple[RelayAddress, ...]:
        """The relays that the user has named, in their order."""
        first = (RelayAddress(self.host, self.port),) if self.host else ()
        return (*first, *self.relays)

    @property
    def places(self) -> frozenset[str]:
        """All relays that are known, as ``HOST:PORT``."""
        return frozenset(map(str, (self.relay, *self.given, *self.learned)))

    @property
    def login(self) -> str:
        """The account that a password is for."""
        return self.account or self.nick


@dataclass(frozen=True, slots=True)
class Notifications:
    """How the user is notified. Immutable."""

    bell: bool = True
    desktop: DesktopNotification = "off"


@dataclass(frozen=True, slots=True)
class Profiles:
    """All that the file says. Immutable.

    ``last`` is one of ``networks``, or empty; so are ``language`` and ``theme`` where none was
    chosen.
    """

    last: str = ""
    language: str = ""
    theme: str = ""
    notifications: Notifications = Notifications()
    networks: Mapping[str, Network] = field(default_factory=dict)


def default_profiles() -> Path:
    """Return where this user's file is, unless another one is named. It need not be there.

    :raises ConfigError: the user has no home.
    """
    try:
        if sys.platform == "win32":
            # "Roaming", other than the key of a device: settings are the user's on any machine.
            roaming = os.environ.get("APPDATA")
            folder = Path(roaming) if roaming else Path.home() / "AppData" / "Roaming"
        elif sys.platform == "darwin":
            folder = Path.home() / "Library" / "Application Support"
        else:
            # XDG Base Directory Specification: a relative path is invalid and to be ignored.
            folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
            if not folder.is_absolute():
                folder = Path.home() / ".config"
    except RuntimeError as error:
        raise ConfigError([_("there is no home folder in which to keep settings")]) from error
    return folder / "securechat" / "profiles.toml"


def is_network_name(name: str) -> bool:
    """Whether a network may be called that here: up to 40 letters, digits, ``-``, ``_`` and ``.``,
    of which the first is a letter or a digit.
    """
    return _NETWORK_NAME.fullmatch(name) is not None


def load_profiles(path: Path) -> Profiles:
    """Return what the file ``path`` says; a file that is not there says nothing. Does file I/O.

    :raises ConfigError: the file cannot be read, or with all mistakes in it, each with its place.
    """
    return parse_profiles(read_text(path), path)


def read_text(path: Path) -> str:
    """Return the text of the file ``path``, its line ends as they are; empty if it is not there.

    :raises ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")  # some editors begin with a byte order mark
    except FileNotFoundError:
        return ""
    except OSError as error:
        text = _("{path}: cannot be read ({reason})", path=path, reason=error.strerror)
        raise ConfigError([text]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([_("{path}: not in UTF-8", path=path)]) from error


def parse_profiles(text: str, path: Path) -> Profiles:
    """Return what ``text`` says, as the content of the file ``path``, whose folder is where
    relative paths begin.

    :raises ConfigError: with all mistakes in it, each with its place.
    """
    try:
        return _read_profiles(tomllib.loads(text), path.parent)
    except tomllib.TOMLDecodeError as error:
        text = _("{path}: not TOML: {reason}", path=path, reason=make_safe(str(error)))
        raise ConfigError([text]) from error
    except _Mistakes as error:
        raise ConfigError([f"{path}: {place}: {what}" for place, what in error.found]) from error


class _Mistakes(Exception):
    """What is wrong with a value: pairs of a place in it and a text."""

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        super().__init__(found)
        self.found = found


def _mistake(what: str) -> _Mistakes:
    return _Mistakes([("", what)])


_Check = Callable[[Any], Any]
"""Takes a value from TOML, returns it in our type, or raises ``_Mistakes``."""

_Checks = Mapping[str, _Check]


# ---- tables ----


def _read_profiles(table: Mapping[str, Any], folder: Path) -> Profiles:
    values = _table(
        table,
        {
            "last": _text,
            "language": _text,
            "theme": _text,
            "notifications": _notifications,
            "networks": partial(_networks, folder=folder),
        },
    )
    if values.get("last") not in values.get("networks", {}):
        values.pop("last", None)  # the network was removed by hand
    return Profiles(**values)


def _notifications(value: Any) -> Notifications:
    checks: _Checks = {
        "bell": _flag,
        "desktop": partial(_choice, choices=get_args(DesktopNotification)),
    }
    return Notifications(**_table(value, checks))


def _networks(value: Any, *, folder: Path) -> dict[str, Network]:
    wrong = _(
        "not a name for a network: up to 40 letters, digits, - _ and ., a letter or a digit first"
    )
    mistakes = [(name, wrong) for name in _as_table(value) if not is_network_name(name)]
    check = partial(_network, folder=folder)
    return _checked({name: (check, item) for name, item in value.items()}, mistakes)


def _network(value: Any, *, folder: Path) -> Network:
    path = partial(_path, folder=folder)
    checks: _Checks = {
        "host": _host,
        "nick": _word,
        "port": _port,
        "relays": _relays,
        "srv": _host,
        "learned": _relays,
        "ca": path,
        "account": _optional_word,
        "realname": _text,
        "password": partial(_password, folder=folder),
        "certificate": path,
        "key": path,
        "rooms": _rooms,
        "peers": _flag,
        "autoconnect": _flag,
        "notify": _notify,
    }
    given = _as_table(value)
    needed = ["ca"] if "srv" in given else ["host"]  # the answers of the DNS prove nothing
    needed += ["nick", *(["certificate"] if "key" in given else [])]
    return Network(**{"host": "", **_table(value, checks, needed)})


def _notify(value: Any) -> dict[str, Any]:
    check = partial(_choice, choices=get_args(Notify))
    return _checked({name: (check, item) for name, item in _as_table(value).items()}, [])


def _password(value: Any, *, folder: Path) -> PasswordSource:
    if not isinstance(value, dict):
        # The value is not shown: it may well be the password.
        raise _mistake(
            _(
                "a password does not belong in this file; write where it is, such as {example}",
                example='{ from = "keyring" }',
            )
        )
    checks: _Checks = {
        "from": partial(_choice, choices=get_args(PasswordKind)),
        "path": partial(_path, folder=folder),
        "run": _run,
    }
    needed = [key for kind, key in _OF_A_SOURCE.items() if value.get("from") == kind]
    values = _table(value, checks, ["from", *needed])
    return PasswordSource(values["from"], values.get("path"), values.get("run", ()))


_OF_A_SOURCE: Final = {"file": "path", "command": "run"}


def _as_table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mistake(_("must be a table"))
    return value


def _table(value: Any, checks: _Checks, needed: Sequence[str] = ()) -> dict[str, Any]:
    table = _as_table(value)
    known = {key: (checks[key], item) for key, item in table.items() if key in checks}
    return _checked(known, [(key, _("is missing")) for key in needed if key not in table])


def _checked(
    items: Mapping[str, tuple[_Check, Any]], mistakes: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return the values that the checks make of the items; raise with all that is wrong."""
    values, found = {}, [(_spell(key), what) for key, what in mistakes]
    for key, (check, item) in items.items():
        try:
            values[key] = check(item)
        except _Mistakes as wrong:
            place = _spell(key)
            found += [(f"{place}.{inner}" if inner else place, what) for inner, what in wrong.found]
    if found:
        raise _Mistakes(found)
    return values


def _spell(key: str) -> str:
    bare = _BARE_KEY.fullmatch(key) is not None
    return key if bare else make_safe(json.dumps(key, ensure_ascii=False))


# ---- values ----


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _mistake(_("must be true or false"))
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise _mistake(_("must be a text of one line"))
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or " " in value:
        raise _mistake(_("must be one word"))
    return value


def _optional_word(value: Any) -> str:
    return "" if value == "" else _word(value)


def _choice(value: Any, *, choices: Sequence[str]) -> str:
    if value not in choices:
        allowed = ", ".join(json.dumps(choice) for choice in choices)
        raise _mistake(_("must be one of {choices}", choices=allowed))
    return str(value)


def _port(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise _mistake(_("must be from {least} to {most}", least=1, most=65535))
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str):
        raise _mistake(_("must be a host name or an IP address"))
    try:
        return check_host(value)
    except ConfigError as error:
        raise _mistake(str(error)) from error


def _relays(value: Any) -> tuple[RelayAddress, ...]:
    try:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(map(parse_relay, value))
    except ConfigError as error:
        raise _mistake(str(error)) from error
    raise _mistake(
        _("must be a list of relays such as {example}", example='["b.example.org:6700"]')
    )


def _path(value: Any, *, folder: Path) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _mistake(_("must be the path of a file"))
    try:
        return folder / Path(value).expanduser()
    except RuntimeError as error:
        raise _mistake(_("must be the path of a file: there is no such user")) from error


def _run(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list) else []
    if not all(isinstance(word, str) and "\0" not in word for word in words) or not any(words[:1]):
        raise _mistake(_("must be a list of a program and its arguments"))
    return tuple(words)


def _rooms(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(map(_is_room, value)):
        raise _mistake(_("must be a list of rooms such as {example}", example='["#home"]'))
    return tuple(value)


def _is_room(value: Any) -> bool:
    # More than ``is_channel_name`` lets pass: other servers have rooms of other kinds.
    return (
        isinstance(value, str)
        and value[:1] in ("#", "&")
        and value.isprintable()
        and not set(value) & set(" ,")
    )
