"""``check``: everything that can be wrong, each as a line that says what to do about it.

What is looked at is as the relay sees it, where one runs: rights, limits, its clock. Else it is as
who asks sees it. Nothing is changed.

- ``setting_checks``      the configuration, and how the relay is doing
- ``certificate_checks``  certificate, keys, CA
- ``system_checks``       addresses, limits, clock, what is installed
- ``store_checks``        the database, its folder, the disk
- ``service_checks``      PostgreSQL, NATS
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from securechat.errors import ConfigError, SecureChatError
from securechat.server.administration import (
    certificate_checks,
    service_checks,
    setting_checks,
    store_checks,
    system_checks,
)
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Check, Finding, Level, problem
from securechat.server.administration.output import say, say_json
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config

__all__ = ["CHECKS", "TOOLS"]

CHECKS: Final[Mapping[str, Check]] = {
    "relay": setting_checks.check_relay,
    "certificate": certificate_checks.check_files,
    "end of the certificate": certificate_checks.check_dates,
    "names of the certificate": certificate_checks.check_names,
    "keys": certificate_checks.check_keys,
    "CA": certificate_checks.check_authority,
    "addresses": system_checks.check_addresses,
    "open files": system_checks.check_descriptors,
    "memory": system_checks.check_memory,
    "clock": system_checks.check_clock,
    "versions": system_checks.check_versions,
    "extras": system_checks.check_extras,
    "database": store_checks.check_database,
    "content of the database": store_checks.check_content,
    "PostgreSQL": service_checks.check_postgres,
    "cluster": service_checks.check_cluster,
    "NATS": service_checks.check_stream,
    "file system": store_checks.check_file_system,
    "rights": store_checks.check_rights,
    "disk": store_checks.check_disk,
    "registration": setting_checks.check_registration,
    "metrics": setting_checks.check_metrics,
    "passwords": setting_checks.check_passwords,
}
"""What is checked, by the name that it is shown under, in that order."""


def _check(desk: Desk, arguments: Arguments) -> list[dict[str, str]]:
    file = arguments.get("file")
    if file is not None and not isinstance(file, str):
        raise ConfigError(["the file of the configuration must be a path"])
    path = Path(file) if file is not None else None
    checks = {"configuration": lambda desk: setting_checks.check_file(path)} | dict(CHECKS)
    return [
        {"what": what, "level": found.level, "finding": found.text, "advice": found.advice}
        for what, check in checks.items()
        for found in _findings(check, desk)
    ]


def _findings(check: Check, desk: Desk) -> list[Finding]:
    try:
        return list(check(desk))
    except (SecureChatError, OSError) as error:
        return [problem(str(error))]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _prepare(options: argparse.Namespace, config: Config) -> Arguments:
    return {"file": str(options.config.absolute())} if options.config is not None else {}


def _show(result: Any, options: argparse.Namespace) -> int:
    count = Counter(found["level"] for found in result)
    if options.json:
        say_json(result)
    else:
        for found in result:
            advice = f". {found['advice']}" if found["advice"] else ""
            say(f"{found['level']:8} {found['what']}: {found['finding']}{advice}")
        say(f"problems: {count[Level.PROBLEM]}, warnings: {count[Level.WARNING]}")
    return 1 if count[Level.PROBLEM] else 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "check",
        "Look for everything that can be wrong; exit code 1 if something is.",
        _check,
        _show,
        _configure,
        _prepare,
        changes=False,
    ),
)
