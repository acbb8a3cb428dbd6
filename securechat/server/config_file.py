"""The configuration file: read and checked in full, and printed with its defaults.

What there is to set is in ``config``; parser, checks and printed file are made from there.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from securechat.errors import ConfigError
from securechat.server.config import (
    AccountsConfig,
    ClusterConfig,
    Config,
    GatewayConfig,
    HistoryConfig,
    LimitsConfig,
    LogConfig,
    MetricsConfig,
    OperatorConfig,
    PeersConfig,
    ServerConfig,
    StoreConfig,
    TlsConfig,
    WebSocketConfig,
)
from securechat.server.config_checks import BadValue, is_loopback, optional_addresses
from securechat.server.toml_text import toml_key, toml_text

__all__ = ["load_config", "print_default_config"]

T = TypeVar("T")

_SECTIONS: Final[Mapping[str, type[Any]]] = {
    "server": ServerConfig,
    "tls": TlsConfig,
    "websocket": WebSocketConfig,
    "accounts": AccountsConfig,
    "store": StoreConfig,
    "history": HistoryConfig,
    "peers": PeersConfig,
    "limits": LimitsConfig,
    "metrics": MetricsConfig,
    "cluster": ClusterConfig,
    "log": LogConfig,
}

_LISTS: Final[Mapping[str, type[Any]]] = {"operators": OperatorConfig, "webirc": GatewayConfig}


def load_config(
    path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """Return the configuration of the TOML file ``path``, with ``overrides`` on top.

    :param overrides: section → key → value as it would be in the file.
    :raises ConfigError: the file cannot be read, or with all mistakes in it, each with section,
        key, value and what is allowed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    problems: list[str] = []
    store = tables.get("store")
    has_path = isinstance(store, dict) and "path" in store
    for section, values in (overrides or {}).items():
        table = tables.setdefault(section, {})
        if isinstance(table, dict):
            table.update(values)
    _choose_registration(tables)
    lists: dict[str, Any] = {
        name: _read_list(name, entry, tables.pop(name, []), problems)
        for name, entry in _LISTS.items()
    }
    known = f"{', '.join(_SECTIONS)} and {', '.join(_LISTS)}"
    problems += [
        f"[{toml_key(name)}]: no such section; there are {known}"
        for name in tables
        if name not in _SECTIONS
    ]
    sections = {
        name: _read(f"[{name}]", section, tables.get(name, {}), problems)
        for name, section in _SECTIONS.items()
    }
    problems += _cluster_problems(sections["cluster"], sections["store"])
    if has_path and sections["store"].url is not None:
        problems.append("[store]: there are a path and a url: write the one that is to be used")
    if problems:
        raise ConfigError([f"{path}: {p}" if path is not None else p for p in problems])
    return Config(**lists, **sections)


def _cluster_problems(cluster: ClusterConfig, store: StoreConfig) -> list[str]:
    """Return what several relays need and is not there."""
    if not cluster.nats:
        return []
    problems = []
    if not cluster.relay:
        problems.append("[cluster] relay: each of several relays needs a name of its own")
    if store.url is None:
        problems.append("[store] url: several relays need a PostgreSQL that they share")
    if cluster.user and cluster.credentials is not None:
        problems.append("[cluster]: there are a user and credentials: write one of them")
    return problems


def _choose_registration(tables: dict[str, Any]) -> None:
    """Set who may register where nobody has said it: the invited, if others can get to the relay.

    What is wrong with the addresses is found later.
    """
    listen = [
        address
        for section, settings in (("server", ServerConfig()), ("websocket", WebSocketConfig()))
        for address in _listen_of(tables.get(section), settings)
    ]
    accounts = tables.setdefault("accounts", {})
    if isinstance(accounts, dict) and not all(is_loopback(host) for host, _ in listen):
        accounts.setdefault("registration", "invite")


def _listen_of(table: Any, settings: ServerConfig | WebSocketConfig) -> tuple[tuple[str, int], ...]:
    given = table.get("listen") if isinstance(table, dict) else None
    try:
        return settings.listen if given is None else optional_addresses(given)
    except BadValue:
        return ()


def _read_list(name: str, entry: type[T], tables: Any, problems: list[str]) -> tuple[T, ...]:
    where = f"[[{name}]]"
    if not isinstance(tables, list):
        problems.append(f"{name}: write {where}, once for each")
        return ()
    found = []
    for table in tables:
        found.append(_read(where, entry, table, problems))
        if isinstance(table, dict):
            lacking = entry.lacking(set(table))  # type: ignore[attr-defined]
            problems += [f"{where}: needs {lacking}"] if lacking else []
    names = Counter(item.name for item in found if item.name)  # type: ignore[attr-defined]
    problems += [
        f"{where} name = {toml_text(name)}: given {count} times, must be given once"
        for name, count in names.items()
        if count > 1
    ]
    return tuple(found)


def _read(where: str, section: type[T], table: Any, problems: list[str]) -> T:
    if not isinstance(table, dict):
        problems.append(f"{where}: must be a table")
        return section()
    fields = {item.name: item for item in dataclasses.fields(section)}  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key not in fields:
            problems.append(
                f"{where} {toml_key(key)}: no such setting; there are {', '.join(fields)}"
            )
            continue
        try:
            values[key] = fields[key].metadata["check"](value)
        except BadValue as bad:
            # There may be a password in it: in a hash, if somebody has not understood.
            shown = "…" if key in ("password_hash", "url") else toml_text(value)
            problems.append(f"{where} {key} = {shown}: must be {bad}")
    return section(**values)


def print_default_config(config: Config = Config()) -> str:  # noqa: B008 - it is immutable
    """Return a commented TOML file, which ``load_config`` accepts.

    :param config: the defaults, but for what flags say; without operators and web gateways.
    """
    lines = [
        "# The configuration of securechat-server. What stands here are the defaults.",
        "# Check it with: securechat-server --config THIS_FILE --check-config",
    ]
    for name, section in _SECTIONS.items():
        lines += ["", f"[{name}]", f"# {section.__doc__}"]
        for item in dataclasses.fields(section):
            lines += ["", *_comment(item.metadata["doc"])]
            value = getattr(getattr(config, name), item.name)
            lines.append(f"{item.name} = {toml_text(value)}")
    for name, entry in _LISTS.items():
        lines += ["", f"# {entry.__doc__} Once for each:", f"# [[{name}]]"]
        for item in dataclasses.fields(entry):
            shown = '"…"' if item.default == "" else '["…"]'
            lines += [f"# {item.name} = {shown}  # {item.metadata['doc']}"]
    return "\n".join(lines) + "\n"


def _comment(text: str, width: int = 96) -> Sequence[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"# {line}" for line in lines]
