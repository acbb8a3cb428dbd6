"""Files for those who run the relay as a service: printed, to be put where they belong.

They are package data: ``securechat.service.in`` and ``Containerfile`` beside this module, the
dashboard in ``telemetry``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from securechat.errors import ConfigError
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import warn
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config

__all__ = ["TOOLS"]

_NAME: Final = "securechat-server"

_PLAIN: Final = re.compile(r"[\w/.+-]+", re.ASCII)
"""Paths that need no quotes in a unit, where blanks, ``%``, ``$`` and others have a meaning."""

_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""Folders of which the unit's service sees nothing (``ProtectHome=``, ``PrivateTmp=``)."""


def _read(package: str, name: str, desk: Desk, arguments: Arguments) -> str:
    return (files(f"securechat.server.{package}") / name).read_text(encoding="utf-8")


def _unit(desk: Desk, arguments: Arguments) -> str:
    template = _read("administration", "securechat.service.in", desk, arguments)
    return template.replace("@PROGRAM@", arguments["program"])


def _find_program(options: argparse.Namespace, config: Config) -> Arguments:
    """Return where this program is; say so if a service could not run it from there."""
    started = Path(sys.argv[0])
    found = started if started.name == _NAME else Path(shutil.which(_NAME) or _NAME)
    program = found.absolute()
    if not _PLAIN.fullmatch(str(program)):
        raise ConfigError([f"{program} cannot be written in a unit; install it elsewhere"])
    if any(program.resolve().is_relative_to(folder) for folder in _HIDDEN):
        warn(
            f"the service cannot see {program}: install securechat where all can, as by "
            '"python3 -m venv /opt/securechat" and "/opt/securechat/bin/pip install …"'
        )
    return {"program": str(program)}


def _show(text: Any, options: argparse.Namespace) -> int:
    print(text, end="")  # noqa: T201 - what was asked for
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "systemd-unit",
        "Print a unit for systemd; how to install it is said in there.",
        _unit,
        _show,
        prepare=_find_program,
        at_relay=False,
    ),
    Tool(
        "containerfile",
        "Print a Containerfile (Dockerfile); how to use it is said in there.",
        partial(_read, "administration", "Containerfile"),
        _show,
        at_relay=False,
    ),
    Tool(
        "grafana-dashboard",
        "Print a dashboard for Grafana, of the metrics of [metrics] listen.",
        partial(_read, "telemetry", "grafana-dashboard.json"),
        _show,
        at_relay=False,
    ),
)
