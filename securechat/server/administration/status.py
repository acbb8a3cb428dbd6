"""``status`` and ``reload``: how a relay that runs is doing, and having it read its files anew."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from securechat.errors import ConfigError, SecureChatError, StoreError
from securechat.net.listener import format_address
from securechat.server.administration.certificates import time_left
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Level
from securechat.server.administration.output import columns, moment, say, say_json
from securechat.server.administration.store_checks import check_disk
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.certificate import WARN_DAYS
from securechat.server.config import Config
from securechat.server.snapshot import digest_of, take_snapshot
from securechat.server.telemetry.figures import figures
from securechat.store.database import read_only

if TYPE_CHECKING:
    from securechat.server.relay import Relay

__all__ = ["NOT_RUNNING", "TOOLS"]

NOT_RUNNING: Final = 3
"""The exit code where no relay runs: "program is not running", as LSB has it and systemctl too."""


def _status(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    store = desk.config.store
    database = _size(store.path) if store.url is None else {"path": str(store.url)}
    disk = [finding.text for finding in check_disk(desk) if finding.level is not Level.OK]
    if desk.relay is None:
        counts, trouble = _counts(desk)
        return {"running": False, "database": database | counts, "problems": [*trouble, *disk]}
    told = dataclasses.asdict(figures(desk.relay.services))
    problems = [*told.pop("problems"), *disk]
    days_left = told["certificate_days_left"]
    if days_left < WARN_DAYS:
        problems.append(f"the certificate: {time_left(days_left)}")
    trouble = told["store"]["trouble"]
    if trouble:
        problems.insert(0, f"nothing can be kept: {trouble}")
    digest = {"state": _digest(desk.relay)} if arguments.get("digest") is True else {}
    return {
        **digest,
        "running": True,
        "pid": os.getpid(),
        "listen": _listen(desk.relay),
        "database": database,
        **told,
        "problems": problems,
    }


def _digest(relay: Relay) -> dict[str, Any]:
    """Return what all relays of a chat that know the same events have in common.

    The relay stands still while its state is copied, for the longer the larger the chat is.
    """
    services = relay.services
    with services.lock:
        event = services.cluster.event_log.standing.applied if services.cluster is not None else 0
        state = take_snapshot(services.network)
    return {"event": event, "digest": digest_of(state)}


def _listen(relay: Relay) -> dict[str, list[str]]:
    ports = {
        "irc": relay.addresses,
        "websocket": relay.websocket_addresses,
        "metrics": relay.metrics_addresses,
    }
    return {name: [format_address(*one) for one in found] for name, found in ports.items()}


def _size(path: Path) -> dict[str, Any]:
    """Return where the database is, and its size on the disk."""
    size = None
    with contextlib.suppress(OSError):
        files = (path, path.with_name(f"{path.name}-wal"))
        size = sum(file.stat().st_size for file in files if file is path or file.exists())
    return {"path": str(path), "bytes": size}


def _counts(desk: Desk) -> tuple[dict[str, int], list[str]]:
    """Return what is in the database, and why that cannot be read; of a file that is no news.

    Of a running one the figures tell.
    """
    found: dict[str, int] = {}
    store = desk.config.store
    try:
        with desk.reading() if store.url is not None else read_only(store.path) as connection:
            for table in ("accounts", "messages"):
                (found[table],) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    except (ConfigError, StoreError) as error:
        return found, [] if store.url is None else [str(error)]
    return found, []


def _reload(desk: Desk, arguments: Arguments) -> list[str]:
    if desk.relay is None:
        raise SecureChatError(
            "no relay runs with the database {place}: there is nothing to reload",
            place=desk.config.store.url or desk.config.store.path,
        )
    return desk.relay.reload()


# ---- where the person is ----


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--digest",
        action="store_true",
        help="also the digest of the chat's state, equal on all relays that know the same events; "
        "the relay stands still for it",
    )


def _prepare(options: argparse.Namespace, config: Config) -> Arguments:
    return {"digest": options.digest}


def _show_status(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
    else:
        rows = _running(result) if result["running"] else [("relay", "none runs")]
        rows = [*rows, *_database_rows(result["database"])]
        rows += [("problem", problem) for problem in result["problems"]]
        say("\n".join(columns(rows)))
    return 0 if result["running"] else NOT_RUNNING


def _running(told: Any) -> Iterator[tuple[str, str]]:
    versions, rates, store = told["versions"], told["per_second"], told["store"]
    started = f"since {moment(told['started_s'])}, for {_span(told['uptime_s'])}"
    yield "relay", f"runs {started} (process {told['pid']})"
    yield (
        "versions",
        f"securechat {versions['securechat']}, Python {versions['python']}, {versions['openssl']}",
    )
    listen = told["listen"]
    yield "listens on", ", ".join(listen["irc"])
    if listen["websocket"]:
        yield "WebSocket on", ", ".join(listen["websocket"])
    if listen["metrics"]:
        yield "metrics on", ", ".join(listen["metrics"])
    yield "certificate", time_left(told["certificate_days_left"])
    if told["cluster"] is not None:
        yield from _cluster_rows(told["cluster"])
    here = " here" if told["cluster"] is not None else ""
    devices = f"{told['sessions']:,} devices{here}"
    yield "people", f"{told['users']:,} in {told['rooms']:,} rooms, {devices}"
    yield "accounts", f"{told['accounts']:,}"
    come, go = rates["received_messages"], rates["deliveries"]
    yield "each second", f"{come:,.1f} messages come in, {go:,.1f} are delivered (last minute)"
    yield "waiting", f"{told['queue_bytes']:,} bytes for clients, {store['queue_length']} writes"
    yield "writing", _writing(store)
    if "state" in told:
        yield "state", f"{told['state']['digest']} at event {told['state']['event']:,}"


def _cluster_rows(cluster: Any) -> Iterator[tuple[str, str]]:
    name = f"{cluster['relay']}, incarnation {cluster['incarnation']}"
    yield "one of", f"{len(cluster['relays'])} relays, as {name}"
    yield (
        "events",
        f"{cluster['event']:,} is the last, {cluster['on_their_way']:,} of its own on their way",
    )
    yield "", f"its part of the history is written up to {cluster['history_event']:,}"
    if cluster["keeper"]:
        age = _span(cluster["snapshot_age_s"])
        yield "keeper", f"it writes the state, up to {cluster['state_event']:,}"
        yield "", f"the last snapshot is of event {cluster['snapshot_event']:,}, for {age}"
    for relay in cluster["relays"]:
        yield f"relay {relay['name']}", ", ".join(_relay_words(relay))


def _relay_words(relay: Any) -> Iterator[str]:
    yield relay["address"] or "no address"
    yield f"since {moment(relay['started_s'])}"
    if relay["keeper"]:
        yield "the keeper"
    if relay["heard_s"] is None:
        yield "not heard yet"
        return
    yield f"{relay['sessions']:,} devices"
    if relay["own"]:
        yield "this one"
        return
    yield f"{abs(relay['lag']):,} events {'behind' if relay['lag'] >= 0 else 'ahead'}"
    yield f"securechat {relay['version']}"
    yield f"heard {relay['heard_s']:.1f} s ago"
    if relay["cut_off"]:
        yield relay["cut_off"]


def _writing(store: Any) -> str:
    commits, failures = store["commits"], store["failures"]
    count = sum(commits["counts"])
    mean = f", {1000 * commits['total'] / count:,.1f} ms each" if count else ""
    return f"{count:,} commits{mean}; {failures} failures"


def _database_rows(database: Any) -> Iterator[tuple[str, str]]:
    yield "database", database["path"]
    found = [f"{database[what]:,} {what}" for what in ("accounts", "messages") if what in database]
    if "bytes" in database:  # else a server has it
        size = database["bytes"]
        found = ["does not exist yet"] if size is None else [f"{size / 1_000_000:,.1f} MB", *found]
    if found:
        yield "", ", ".join(found)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def _show_reload(result: Any, options: argparse.Namespace) -> int:
    say("\n".join(result))
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "status",
        f"Show how the relay is doing; exit code {NOT_RUNNING} if none runs.",
        _status,
        _show_status,
        _configure,
        _prepare,
        changes=False,
    ),
    Tool(
        "reload",
        "Have the relay take its configuration and certificate anew.",
        _reload,
        _show_reload,
    ),
)
