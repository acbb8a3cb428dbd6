"""What is found of the configuration, and of a relay that runs with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securechat.server.administration import setting_checks
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Check
from securechat.server.config import Config, OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.administration.checked_files import change, one, posix_only
from tests.server.relay_harness import RunningRelay

PUBLIC = {"listen": (("127.0.0.1", 6697), ("0.0.0.0", 6697))}


@pytest.mark.parametrize(
    ("check", "changes", "expected"),
    [
        (setting_checks.check_registration, {}, 'ok "open"'),
        (
            setting_checks.check_registration,
            {"server": PUBLIC},
            "warning anybody who gets to 0.0.0.0:6697 may register an account",
        ),
        (
            setting_checks.check_registration,
            {"server": PUBLIC, "accounts": {"registration": "invite"}},
            'ok "invite"',
        ),
        (setting_checks.check_metrics, {}, "ok there is no port for figures"),
        (
            setting_checks.check_metrics,
            {"metrics": {"listen": (("::1", 9697),)}},
            "ok nobody else gets to the figures",
        ),
        (
            setting_checks.check_metrics,
            {"metrics": PUBLIC},
            "warning anybody who gets to 0.0.0.0:6697 may read the figures",
        ),
        (setting_checks.check_passwords, {}, "ok there are none in it"),
    ],
)
def test_settings(config: Config, check: Check, changes: dict[str, Any], expected: str) -> None:
    assert one(check, change(config, **changes)).startswith(expected)


def test_passwords_that_are_hashed_otherwise_than_configured(config: Config) -> None:
    old = hash_password("x", Argon2Parameters(8_192, 1, 1))
    new = hash_password("x", Argon2Parameters(8_192, 2, 1))
    changed = change(
        config,
        server={"password_hash": old},
        accounts={"argon2_memory_kib": 8_192},
    )
    operators = tuple(OperatorConfig(name, phc) for name, phc in (("alice", old), ("bob", new)))
    line = one(setting_checks.check_passwords, replace(changed, operators=operators))
    assert line.startswith("warning hashed with another cost than")
    assert line.endswith(
        "says: [server] password_hash, operator alice. "
        "Hash them anew: securechat-server hash-password"
    )
    fine = replace(change(changed, server={"password_hash": ""}), operators=operators[1:])
    assert one(setting_checks.check_passwords, fine).startswith("ok hashed as")


@posix_only
@pytest.mark.parametrize(("mode", "level"), [(0o644, "ok"), (0o664, "problem"), (0o646, "problem")])
def test_a_configuration_that_others_may_write(tmp_path: Path, mode: int, level: str) -> None:
    file = tmp_path / "relay.toml"
    file.touch()
    file.chmod(mode)
    (finding,) = setting_checks.check_file(file)
    assert finding.level == level


def test_a_relay_that_has_lost_something(relay: RunningRelay) -> None:
    services = relay.relay.services
    desk = Desk(relay.config, services.store.call, relay.relay)

    def say() -> list[str]:
        return [f"{one.level} {one.text}" for one in setting_checks.check_relay(desk)]

    assert say() == ["ok it runs, and all its threads answer"]
    services.history.lost = 3
    services.store._failures = 2
    services.health.problems = lambda: ["io-1 has not answered for 12 s"]  # type: ignore[method-assign]
    assert say() == [
        "problem io-1 has not answered for 12 s",
        "warning 3 messages could not be kept",
        "warning the database failed 2 times",
    ]
