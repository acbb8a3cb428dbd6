"""Checks of what the configuration allows, and of the relay that runs with it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from securechat.net.listener import format_address
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Finding, ok, problem, warning
from securechat.server.config import Config
from securechat.server.config_checks import is_loopback
from securechat.store.passwords import needs_upgrade

__all__ = [
    "check_file",
    "check_metrics",
    "check_passwords",
    "check_registration",
    "check_relay",
]


def check_file(path: Path | None) -> Iterator[Finding]:
    """Check who can write the file of the configuration, if one is used."""
    if path is None:
        yield ok("there is no file: the defaults, and what the flags say")
        return
    with contextlib.suppress(FileNotFoundError):  # where the relay is, it may have another name
        mode = stat.S_IMODE(path.stat().st_mode)
        if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield problem(f"others may write {path} ({mode:04o})", f"chmod go-w {path}")
            return
    yield ok(f"{path} can be used")


def check_relay(desk: Desk) -> Iterator[Finding]:
    """Check how a relay that runs is doing."""
    if desk.relay is None:
        yield ok("none runs: this is about its files")
        return
    services = desk.relay.services
    findings = [
        problem(text, "Restart it; its log may say why") for text in services.health.problems()
    ]
    if lost := services.history.lost:
        findings.append(warning(f"{lost} messages could not be kept", "Its log says why"))
    if failures := services.store.figures().failures:
        findings.append(warning(f"the database failed {failures} times", "Its log says why"))
    yield from findings or [ok("it runs, and all its threads answer")]


def check_registration(desk: Desk) -> Iterator[Finding]:
    """Check that not everybody may register where everybody gets to."""
    how, public = desk.config.accounts.registration, _public(desk.config)
    if how == "open" and public:
        yield warning(
            f"anybody who gets to {', '.join(public)} may register an account",
            '[accounts] registration = "invite"',
        )
    else:
        yield ok(f'"{how}"')


def _public(config: Config) -> list[str]:
    listen = (*config.server.listen, *config.websocket.listen)
    return [format_address(host, port) for host, port in listen if not is_loopback(host)]


def check_metrics(desk: Desk) -> Iterator[Finding]:
    """Check that the figures are not for everybody."""
    listen = desk.config.metrics.listen
    public = [format_address(host, port) for host, port in listen if not is_loopback(host)]
    if public:
        yield warning(
            f"anybody who gets to {', '.join(public)} may read the figures, without TLS",
            '[metrics] listen: "127.0.0.1:9697", or an address that only your network has',
        )
    else:
        yield ok("nobody else gets to the figures" if listen else "there is no port for figures")


def check_passwords(desk: Desk) -> Iterator[Finding]:
    """Check that the passwords in the configuration are hashed as it says."""
    config, wanted = desk.config, desk.config.accounts.argon2
    hashes = [("[server] password_hash", config.server.password_hash)]
    hashes += [(f"operator {one.name}", one.password_hash) for one in config.operators]
    hashes += [(f"gateway {one.name}", one.password_hash) for one in config.webirc]
    given = [(whose, phc) for whose, phc in hashes if phc]
    old = [whose for whose, phc in given if needs_upgrade(phc, wanted)]
    if old:
        yield warning(
            f"hashed with another cost than [accounts] argon2_… says: {', '.join(old)}",
            "Hash them anew: securechat-server hash-password",
        )
    else:
        yield ok("hashed as the configuration says" if given else "there are none in it")
