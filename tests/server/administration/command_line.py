"""The command line of some of the tools, without that of all."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from securechat.server.administration.console import add_tools
from securechat.server.administration.tool import Tool


def parse(tools: Iterable[Tool], *words: str) -> argparse.Namespace:
    """Return what is on a command line, with the flags that all commands have."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path)
    parser = argparse.ArgumentParser(prog="securechat-server")
    add_tools(parser.add_subparsers(), tools, common)
    return parser.parse_args(words)
