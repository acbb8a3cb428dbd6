"""Somebody who gives commands on the command line, in this process."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from securechat.server.administration.console import run_tool
from securechat.server.administration.tools import TOOLS
from securechat.server.config import Config
from tests.server.administration.command_line import parse


class Administrator:
    """Gives commands to the relay that runs with ``config``, or on its files if none does."""

    def __init__(self, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys
        self.code = 0
        """Exit code of the last command."""
        self.complaint = ""
        """What the last command has said on the standard error output."""

    def __call__(self, *words: str, stdin: str = "") -> str:
        """Return what a command prints."""
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            options = parse(TOOLS, *words)
            self.code = run_tool(options.tool, options, self.config)
        said = self._capsys.readouterr()
        self.complaint = said.err
        return said.out

    def json(self, *words: str) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self(*words, "--json"))
