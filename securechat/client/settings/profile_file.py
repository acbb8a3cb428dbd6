"""Changing ``profiles.toml``, as a program, without breaking what its user wrote there.

Comments, order and unknown keys stay: only values that are to be other ones are written. The new
file is written beside the old one and takes its place in one step, so that nobody ever reads half
of it. Two programs at once do not undo each other: each reads the file anew, changes it and puts it
in place under a lock. The lock is on a file of its own, as the other one is replaced; the system
takes it from a program that dies, so it is never left behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.client.relays import RelayAddress
from securechat.client.settings.profiles import (
    Network,
    Notifications,
    Notify,
    PasswordSource,
    Profiles,
    is_network_name,
    load_profiles,
    parse_profiles,
    read_text,
)
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.errors import ConfigError, PkiError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["ProfileFile", "store_ca"]

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class ProfileFile:
    """The file ``path``, which need not be there yet. Safe from any thread and any process.

    What changes it does file I/O, makes the folder if need be, and may wait a moment for another
    program that changes it. It raises ``ConfigError``, and leaves the file as it was, when the file
    cannot be read or written, has mistakes, or would have some afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Profiles:
        """Return what the file says now, as ``load_profiles``."""
        return load_profiles(self.path)

    def save_network(self, name: str, network: Network) -> None:
        """Add the network, or change the one of that name. Relative paths are relative to the
        folder of the file.
        """
        self._change(lambda profiles: _with_network(profiles, name, network))

    def remove_network(self, name: str) -> None:
        """Forget the network, if there is one of that name. Its CA and keys stay where they are."""
        self._change(lambda profiles: _without_network(profiles, name))

    def set_last(self, name: str) -> None:
        """Open this network when none is named. There must be one of that name."""
        self._change(lambda profiles: _with_last(profiles, name))

    def set_notify(self, network: str, conversation: str, notify: Notify | None) -> None:
        """Notify of this in the conversation; ``None``: of what is usual. There must be such a
        network.
        """
        self._change(lambda profiles: _with_notify(profiles, network, conversation, notify))

    def set_learned(self, network: str, relays: Sequence[RelayAddress]) -> None:
        """Remember the relays that one of the network has announced, but for those that the user
        has named. There must be such a network.
        """
        self._change(lambda profiles: _with_learned(profiles, network, relays))

    def set_theme(self, name: str) -> None:
        """Use this theme; empty: the usual one."""
        self._change(lambda profiles: replace(profiles, theme=name))

    def set_language(self, language: str) -> None:
        """Speak this language; empty: that of the environment."""
        self._change(lambda profiles: replace(profiles, language=language))

    def set_notifications(self, notifications: Notifications) -> None:
        """Notify in these ways."""
        self._change(lambda profiles: replace(profiles, notifications=notifications))

    def _change(self, change: Callable[[Profiles], Profiles]) -> None:
        # A link stays one: people keep such files elsewhere.
        path = Path(os.path.realpath(self.path))
        with _system_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path):
                text = read_text(self.path)
                profiles = parse_profiles(text, self.path)
                tables = tomllib.loads(text)
                _update(tables, _plain(profiles), _plain(change(profiles)))
                changed = _carry_over(tables, text, self.path)
                parse_profiles(changed, self.path)
                if changed != text:
                    _write(path, changed.encode())


def store_ca(folder: Path, name: str, pem: bytes) -> Path:
    """Keep the CA of the network ``name`` in ``folder``; return its file.

    Only the certificates in ``pem`` are kept. A file of that name that holds something else stays
    as it is, as another network may go by it: the new one gets a number then. The folder is made if
    need be. Does file I/O.

    :raises PkiError: there is no certificate in ``pem``.
    :raises ConfigError: a network cannot be called that, or the file cannot be read or written.
    """
    if not is_network_name(name):
        raise ConfigError([_("a network cannot be called that")])
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PkiError("this is not a certificate in PEM") from error
    content = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
    path = folder / f"{name}-ca.pem"
    with _system_errors(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbered = (folder / f"{name}-ca-{number}.pem" for number in itertools.count(2))
        candidates = itertools.chain((path,), numbered)
        path = next(one for one in candidates if not one.exists() or one.read_bytes() == content)
        if not path.exists():
            _write(path, content)
    return path


# ---- changes ----


def _find(profiles: Profiles, name: str) -> Network:
    if name not in profiles.networks:
        raise ConfigError([_("there is no network {name}", name=make_safe(name))])
    return profiles.networks[name]


def _with_network(profiles: Profiles, name: str, network: Network) -> Profiles:
    return replace(profiles, networks={**profiles.networks, name: network})


def _without_network(profiles: Profiles, name: str) -> Profiles:
    networks = {other: network for other, network in profiles.networks.items() if other != name}
    return replace(profiles, networks=networks, last=profiles.last if profiles.last != name else "")


def _with_last(profiles: Profiles, name: str) -> Profiles:
    _find(profiles, name)
    return replace(profiles, last=name)


def _with_notify(
    profiles: Profiles, name: str, conversation: str, notify: Notify | None
) -> Profiles:
    network = _find(profiles, name)
    choices = {other: choice for other, choice in network.notify.items() if other != conversation}
    if notify is not None:
        choices[conversation] = notify
    return _with_network(profiles, name, replace(network, notify=choices))


def _with_learned(profiles: Profiles, name: str, relays: Sequence[RelayAddress]) -> Profiles:
    network = _find(profiles, name)
    learned = tuple(relay for relay in relays if relay not in network.given)
    return _with_network(profiles, name, replace(network, learned=learned))


# ---- as TOML ----


_Record = Profiles | Network | Notifications

_USUAL: Final[Mapping[type, _Record]] = {
    Profiles: Profiles(),
    Network: Network(host="", nick=""),
    Notifications: Notifications(),
}
"""What need not be said."""


def _parts(record: _Record) -> dict[str, Any]:
    return {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}


def _plain(value: Any) -> Any:
    """Return the value as TOML has it, without what need not be said."""
    match value:
        case Profiles() | Network() | Notifications():
            usual = _parts(_USUAL[type(value)])
            parts = {
                key: part
                for key, part in _parts(value).items()
                # A table that may have keys of the user's is not taken away as a whole.
                if part != usual[key] or isinstance(part, Notifications)
            }
            return _plain(parts)
        case PasswordSource():
            parts = {"from": value.kind, "path": value.path, "run": value.run}
            return _plain({key: part for key, part in parts.items() if part})
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case Path():
            return str(value)
        case RelayAddress():
            return str(value)
        case tuple():
            return [_plain(part) for part in value]
        case _:
            return value


def _update(tables: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Change in the tables what is another in ``new`` than in ``old``: what means the same stays as
    it is spelled there, and what is in neither stays too.
    """
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(after, dict):
            _update(tables.setdefault(key, {}), before or {}, after)
        elif after is not None:
            tables[key] = after
        else:
            tables.pop(key, None)


def _carry_over(tables: Mapping[str, Any], text: str, path: Path) -> str:
    """Return ``text``, changed so far as needed to say what is in ``tables``."""
    import tomlkit  # only here: most starts change nothing

    # Tables that are spread over the file, or have keys with dots, are too much for the package: it
    # raises anything, or moves keys into other tables.
    with contextlib.suppress(Exception):
        document = tomlkit.parse(text)
        _rewrite(document, tomllib.loads(text), tables)
        changed = document.as_string()
        if tomllib.loads(changed) == tables:
            return changed
    problem = _(
        "{path}: cannot be changed as it is written: write each table in one place, under a line "
        "such as {example}",
        path=path,
        example="[networks.home]",
    )
    raise ConfigError([problem])


def _rewrite(
    table: MutableMapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Have the table, which says ``old``, say ``new``."""
    for key in old.keys() - new.keys():
        del table[key]
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            _rewrite(table[key], before, value)
        elif value != before:
            table[key] = _item(key, value, table)


def _item(key: str, value: Any, table: MutableMapping[str, Any]) -> Any:
    """Return a value for the key of a table, made whole before it is put there."""
    from tomlkit import inline_table
    from tomlkit import table as make_table
    from tomlkit.items import InlineTable

    if not isinstance(value, dict):
        return value
    # In a table on one line all others are, too.
    made = inline_table() if key == "password" or isinstance(table, InlineTable) else make_table()
    for inner, part in value.items():
        made[inner] = _item(inner, part, made)
    return made


# ---- the files ----


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = _("{path}: cannot be written ({reason})", path=path, reason=error.strerror)
        raise ConfigError([text]) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other program, and no other thread, is in here with this path."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def _write(path: Path, content: bytes) -> None:
    """Put a new file in place, complete and on the disk, or leave all as it is."""
    temporary = path.with_name(f".new-{secrets.token_hex(4)}-{path.name}")
    # The mode is given when the file is made: a chmod afterwards leaves a moment to open it.
    descriptor = os.open(temporary, _NEW_FILE, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # not every system can open or sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
