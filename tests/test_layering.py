"""Who may import whom, and what the language must not reach.

The table below is the architecture. Imports are read from the source, not by importing: so those
inside functions and those for the type checker count as well, and no optional extra need be there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import securechat

PACKAGE: Final = Path(securechat.__file__).parent

ALLOWED: Final[dict[str, frozenset[str]]] = {
    "": frozenset(),  # securechat/__init__.py
    "errors": frozenset(),
    "values": frozenset(),
    "irc": frozenset({"errors", "values"}),
    "net": frozenset({"errors"}),
    "invite_link": frozenset({"errors"}),
    "pki": frozenset({"errors"}),
    "store": frozenset({"errors"}),
    "peer": frozenset({"errors", "irc", "net", "pki", "values"}),
    "server": frozenset({"errors", "invite_link", "irc", "net", "pki", "store", "values"}),
    "client": frozenset({"errors", "invite_link", "irc", "net", "peer", "pki", "values"}),
}
"""What each part of the project may import of it, beside itself. A part that is not here has no
place in the house yet."""

THREADED: Final = frozenset({"net", "peer", "server"})
"""Threads and selectors: no asyncio."""

FACES: Final = ("client/tui", "client/lines")
"""The interfaces of the client: they know what a bot knows, and what all interfaces share."""

FACES_MAY_IMPORT: Final = (
    *(f"client.{name}" for name in ("client", "events", "options")),
    *(f"client.{name}" for name in ("assistant", "chat", "commands", "settings", "words")),
    *("errors", "net.threads", "peer.events", "peer.known_peers", "peer.records"),
)
"""Of the project, by its beginning; and each face itself."""

SCREEN_ONLY: Final = frozenset({"rich", "textual"})
"""What only the full-screen client may import: everything else does without it."""

NATS: Final = Path("server/cluster/nats_stream.py")
"""The one module with an event loop, in a thread of its own: its library has no other way."""

UNVERIFIED: Final = ("unverified_context", Path("client/assistant/ca_fetch.py"))
"""The context that verifies nothing, and the one module that may name it, beside the one that makes
it: what it fetches is compared with a hash."""

# fmt: off
IMPURE_MODULES: Final = frozenset({
    "_io", "_socket", "_ssl", "_thread", "asyncio", "builtins", "concurrent", "contextvars",
    "ctypes", "fcntl", "ftplib", "getpass", "glob", "http", "importlib", "io", "locale", "logging",
    "mmap", "multiprocessing", "os", "pathlib", "pickle", "platform", "pwd", "queue", "random",
    "resource", "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib",
    "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile",
    "threading", "time", "tty", "urllib", "uuid", "warnings", "weakref",
})
# fmt: on
"""What the language must not import: sockets, TLS, threads, clocks, randomness, files, logs, the
environment and the process."""

IMPURE_CALLS: Final = frozenset(
    {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
)

IMPURE_METHODS: Final = frozenset({"now", "utcnow", "today", "fromtimestamp", "new_event_loop"})
"""``datetime`` is a value there, not a clock: the time comes in as an argument."""


@dataclass(frozen=True)
class Import:
    """One import of one module, of our own or not."""

    module: str
    line: int
    for_types_only: bool


def part_of(module: str) -> str | None:
    """``securechat.net.tls`` → ``net``; ``None`` for what is not ours."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "securechat" else None


def module_name(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    return ".".join(["securechat", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def imports_of(tree: ast.AST, path: Path) -> Iterator[Import]:
    """Yield every import, wherever it stands; ``path`` is relative to the package."""
    typing_lines = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and _is_type_checking(node.test)
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    }
    for node in ast.walk(tree):
        for module in _imported(node, path):
            line = getattr(node, "lineno", 0)
            yield Import(module, line, line in typing_lines)


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _imported(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if name.name != "securechat")
    elif isinstance(node, ast.Attribute):
        # What "import securechat" gives is in its attributes.
        if isinstance(node.value, ast.Name) and node.value.id == "securechat":
            yield from {f"securechat.{node.attr}"} - _OF_ROOT
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            # "." is the package that holds this module: for an __init__ that package itself.
            package = ("securechat", *path.parent.parts)
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
        # "from securechat import net" imports a part of ours by its last word.
        names = [f"{base}.{name.name}" for name in node.names] if base == "securechat" else [base]
        yield from (name for name in names if name not in _OF_ROOT)
    elif isinstance(node, ast.Call):
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        first = node.args[0] if node.args else None
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            yield str(first.value)


_OF_ROOT: Final = {"securechat.__version__"}


def problems_in(source: str, path: Path) -> list[str]:
    """Return what is wrong with the module at ``path`` (relative to the package), with its line."""
    tree = ast.parse(source)
    part = part_of(module_name(path)) or ""
    where = f"securechat/{path.as_posix()}"
    if part not in ALLOWED:
        return [f"{where}: {part!r} has no place in the table of this test"]
    problems = []
    for found in imports_of(tree, path):
        target = part_of(found.module)
        at = f"{where}:{found.line}: {found.module}"
        outermost = found.module.partition(".")[0]
        if target is None:
            if outermost in SCREEN_ONLY and not path.as_posix().startswith("client/tui/"):
                problems.append(f"{at}: only client/tui has the extra for that")
            if outermost == "asyncio" and part in THREADED and path != NATS:
                problems.append(f"{at}: {part} is threads and selectors, without asyncio")
            if outermost in IMPURE_MODULES and part == "irc":
                problems.append(f"{at}: irc is pure; time, ids and bytes come in as arguments")
        elif not _face_may_import(path, found.module):
            problems.append(f"{at}: a face knows what a bot knows, and what all faces share")
        elif target == part:
            continue
        elif target not in ALLOWED[part]:
            allowed = ", ".join(sorted(ALLOWED[part])) or "nothing of the project"
            problems.append(f"{at}: {part or 'securechat'} may import {allowed}")
        elif found.for_types_only:
            problems.append(f"{at}: imports under TYPE_CHECKING stay within one package")
    if part == "irc":
        problems += [f"{where}:{problem}" for problem in _impure_calls(tree)]
    if path not in (UNVERIFIED[1], Path("net/tls.py")):
        problems += [f"{where}:{problem}" for problem in _unverified(tree)]
    return problems


def _unverified(tree: ast.AST) -> Iterator[str]:
    """Yield where the context that verifies nothing is named, however that is."""
    name, only = UNVERIFIED
    for node in ast.walk(tree):
        named = [getattr(node, key, None) for key in ("id", "attr", "name", "value")]
        if name in named:
            yield f"{getattr(node, 'lineno', 0)}: {name} is for {only.as_posix()} only"


def _face_may_import(path: Path, module: str) -> bool:
    """Whether a module of a face may import that; true for all that is of no face."""
    face = next((one for one in FACES if path.as_posix().startswith(f"{one}/")), None)
    allowed = (face.replace("/", "."), *FACES_MAY_IMPORT) if face else ("",)
    name = f"{module.removeprefix('securechat.')}."
    return not face or any(name.startswith(f"{one}.") for one in allowed)


def _impure_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in IMPURE_CALLS:
                yield f"{node.lineno}: {function.id}(): irc reaches no file and no terminal"
            if isinstance(function, ast.Attribute) and function.attr in IMPURE_METHODS:
                yield f"{node.lineno}: {function.attr}(): irc has no clock"


MODULES: Final = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.as_posix())
def test_layers(path: Path) -> None:
    problems = problems_in((PACKAGE / path).read_text("utf-8"), path)
    assert not problems, "\n".join(["these imports are not allowed:", *problems])


def test_the_modules_are_found() -> None:
    assert {Path("errors.py"), Path("irc/message.py"), Path("net/tls.py")} <= set(MODULES)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "from securechat.irc import numerics"),
        ("errors.py", "import securechat\nsecurechat.irc.numerics"),
        ("client/cli.py", "import securechat.client.client\nsecurechat.server.config"),
        ("irc/message.py", "from securechat.net.tls import client_context"),
        ("irc/message.py", "from securechat import net"),
        ("irc/message.py", "from ..net import tls"),
        ("irc/message.py", "from .. import net"),
        ("net/tls.py", "import securechat.pki"),
        ("net/tls.py", "import securechat.server.config as config"),
        ("net/tls.py", "import os, securechat.store"),
        ("net/tls.py", "def late():\n    from securechat.irc import message"),
        ("net/tls.py", "try:\n    import securechat.client\nexcept ImportError:\n    pass"),
        ("net/tls.py", "import importlib\nimportlib.import_module('securechat.client')"),
        ("net/tls.py", "__import__('securechat.client')"),
        ("pki.py", "from securechat.net import tls"),
        ("store/accounts.py", "from securechat.irc.names import is_nick"),
        ("server/cli.py", "from securechat.client.client import Client"),
        ("server/commands/users.py", "from ...peer import session"),
        ("client/client.py", "from securechat.server import config"),
        ("client/client.py", "from securechat.store import accounts"),
        ("client/tui/app.py", "from ...server import config"),
        ("peer/session.py", "from securechat.server.events import Joined"),
        ("peer/session.py", "from securechat.client.client import Client"),
        ("peer/session.py", "from securechat.store import accounts"),
        ("gadgets.py", ""),
        ("gadgets/__init__.py", ""),
        ("__init__.py", "from securechat.errors import SecureChatError"),
    ],
)
def test_a_wrong_direction_is_noticed(path: str, source: str) -> None:
    [problem] = problems_in(source, Path(path))
    assert problem.startswith(f"securechat/{path}:")


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from securechat.net.tls import x",
        "import typing\nif typing.TYPE_CHECKING:\n    import securechat.irc.message",
        "if TYPE_CHECKING:\n    if True:\n        from securechat.errors import NetworkError",
    ],
)
def test_types_of_another_package_are_noticed(source: str) -> None:
    [problem] = problems_in(source, Path("server/relay.py"))
    assert "TYPE_CHECKING" in problem
    assert problems_in(source.replace("TYPE_CHECKING", "DEBUG"), Path("server/relay.py")) == []


def test_types_of_a_forbidden_package_are_noticed() -> None:
    source = "if TYPE_CHECKING:\n    from securechat.client import client"
    [problem] = problems_in(source, Path("server/relay.py"))
    assert problem.startswith("securechat/server/relay.py:2: securechat.client")


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import os.path",
        "from time import monotonic",
        "def f():\n    import random",
        "from logging import getLogger as get",
        "open('motd')",
        "print('debug')",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import date\nx = [date.today()]",
        "if TYPE_CHECKING:\n    import threading",
    ],
)
def test_the_language_is_pure(source: str) -> None:
    [problem] = problems_in(source, Path("irc/message.py"))
    assert "irc" in problem
    assert problems_in(source, Path("client/client.py")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("client/tui/app.py", "from securechat.client.protocol import ClientProtocol"),
        ("client/tui/app.py", "from securechat.client.lines.terminal import is_ansi"),
        ("client/lines/terminal.py", "from securechat.irc.message import Message"),
        ("client/lines/terminal.py", "from securechat.client.clients import x"),
        ("client/chat/chat.py", "import textual.app"),
        ("client/words/wording.py", "from rich.text import Text"),
    ],
)
def test_a_face_that_knows_too_much_is_noticed(path: str, source: str) -> None:
    [problem] = problems_in(source, Path(path))
    assert "face" in problem or "client/tui" in problem


@pytest.mark.parametrize(
    "source",
    [
        "from securechat.net.tls import unverified_context",
        "from securechat.net.tls import unverified_context as client_context",
        "from securechat.net import tls\ncontext = tls.unverified_context(['irc'])",
        "from securechat.net import tls\nmake = getattr(tls, 'unverified_context')",
    ],
)
def test_a_context_that_verifies_nothing_is_noticed(source: str) -> None:
    for path in ("client/connector.py", "net/dialer.py"):
        assert [
            problem for problem in problems_in(source, Path(path)) if "ca_fetch.py only" in problem
        ]
    assert problems_in(source, UNVERIFIED[1]) == []


@pytest.mark.parametrize("path", ["net/tls.py", "peer/session.py", "server/commands/users.py"])
@pytest.mark.parametrize("source", ["import asyncio", "from asyncio.events import get_event_loop"])
def test_asyncio_is_noticed(path: str, source: str) -> None:
    [problem] = problems_in(source, Path(path))
    assert "without asyncio" in problem


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "from collections.abc import Sequence"),
        ("irc/message.py", "from securechat.irc.tags import parse_tags\nfrom . import names"),
        ("irc/message.py", "import re, enum, base64, hashlib\nfrom datetime import datetime"),
        ("irc/message.py", "from ..errors import RemoteProtocolError"),
        ("irc/__init__.py", "from .message import Message"),
        ("net/__init__.py", "from . import tls"),
        (
            "server/commands/users.py",
            "from securechat import __version__\nfrom ..rooms import Room",
        ),
        ("server/cli.py", "from securechat import errors, irc, net, pki, store"),
        ("client/tui/app.py", "import asyncio\nfrom securechat.peer.events import PeerOpened"),
        ("peer/session.py", "import securechat.net.tls\nimport securechat.irc, securechat.pki"),
        ("server/cli.py", "text = 'import securechat.client'"),
        ("server/cli.py", "if TYPE_CHECKING:\n    from securechat.server.relay import Relay"),
    ],
)
def test_what_is_allowed_is_let_pass(path: str, source: str) -> None:
    assert problems_in(source, Path(path)) == []


def test_the_text_names_file_and_line() -> None:
    source = '"""Docstring."""\n\nimport socket\n\nfrom securechat.store import accounts\n'
    assert problems_in(source, Path("net/tls.py")) == [
        "securechat/net/tls.py:5: securechat.store: net may import errors"
    ]
