"""What is public is listed, exists and is described.

Read from the source, like the layers: no module is imported, so optional extras need not be there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import securechat

PACKAGE: Final = Path(securechat.__file__).parent

WITHOUT_A_LIST: Final = frozenset({"irc/numerics.py"})
"""Here every constant is public, and the module *is* the list: a second one, of 130 names, would
only be a place to forget one. (``irc/capabilities.py`` makes its constants from its table; what is
written out there is listed.)"""

TABLES: Final = {"server/commands/__init__.py": "COMMANDS"}
"""The packages that make something of their modules, and what: here the table of all commands is
made of what each module registers, so the package is the one place that knows them all."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def is_public(path: Path) -> bool:
    return not any(part.startswith("_") and part != "__init__.py" for part in path.parts)


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those under ``if`` and ``try``."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from top_level(getattr(statement, field, []))
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from top_level(handler.body)


def assigned(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    ]


def names_bound(tree: ast.Module) -> Iterator[str]:
    for statement in top_level(tree.body):
        if isinstance(statement, Definition):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for name in statement.names:
                yield name.asname or name.name.partition(".")[0]
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from assigned(statement)


def public_names(tree: ast.Module) -> list[str]:
    """The public functions, classes and constants that are made here, not imported."""
    imported = {
        name.asname or name.name
        for statement in top_level(tree.body)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name in statement.names
    }
    return [name for name in names_bound(tree) if name[0] != "_" and name not in imported]


def listed(tree: ast.Module) -> list[str] | None:
    """The value of ``__all__``, which must be written out; ``None`` without one."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and assigned(statement) == ["__all__"]:
            assert statement.value is not None
            return [str(name) for name in ast.literal_eval(statement.value)]
    return None


def problems_in(source: str, path: Path) -> list[str]:
    """Return what is wrong with the public face of the module at ``path``."""
    tree = ast.parse(source)
    problems = []
    if not ast.get_docstring(tree):
        problems.append("no docstring that says what it is for")
    exported = listed(tree)
    if exported is None:
        if public_names(tree) and path.as_posix() not in WITHOUT_A_LIST:
            problems.append("public names, but no __all__")
        exported = public_names(tree)
    bound = set(names_bound(tree))
    problems += [f"{name} is in __all__ and nowhere else" for name in exported if name not in bound]
    problems += [
        f"{statement.lineno}: {statement.name} has no docstring"
        for statement in top_level(tree.body)
        if isinstance(statement, Definition)
        and statement.name in exported
        and not ast.get_docstring(statement)
    ]
    if path.name == "__init__.py":
        problems += logic_in(tree, TABLES.get(path.as_posix(), ""))
    return [f"securechat/{path.as_posix()}: {problem}" for problem in problems]


def logic_in(tree: ast.Module, table: str = "") -> Iterator[str]:
    """Yield what is in a package's ``__init__`` beside docstring, imports and the names allowed."""
    allowed = {"__all__", "__version__", table}
    text_expected = True  # a docstring: of the package, or of its table
    for statement in tree.body:
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.Assign) and set(assigned(statement)) <= allowed:
            text_expected = table in assigned(statement)
        elif text and text_expected:
            text_expected = False
        elif not isinstance(statement, ast.Import | ast.ImportFrom):
            yield f"{statement.lineno}: logic in a package's __init__"


MODULES: Final = sorted(
    path
    for path in (found.relative_to(PACKAGE) for found in PACKAGE.rglob("*.py"))
    if is_public(path)
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.as_posix())
def test_public_face(path: Path) -> None:
    problems = problems_in((PACKAGE / path).read_text("utf-8"), path)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "folder",
    sorted({(PACKAGE / path).parent for path in MODULES}),
    ids=lambda folder: folder.relative_to(PACKAGE).as_posix(),
)
def test_a_folder_with_modules_is_a_package(folder: Path) -> None:
    assert (folder / "__init__.py").is_file()


def test_the_modules_are_found() -> None:
    assert {Path("__init__.py"), Path("errors.py"), Path("net/tls.py")} <= set(MODULES)
    for name in WITHOUT_A_LIST:
        assert Path(name) in MODULES
        assert listed(ast.parse((PACKAGE / name).read_text("utf-8"))) is None


GOOD = '''
"""What it is for."""
from re import compile
__all__ = ["LIMIT", "Thing", "make"]
LIMIT: int = 3
class Thing:
    """What it is."""
def make():
    """Make one."""
def _secret(): ...
'''


def test_a_good_module_passes() -> None:
    assert problems_in(GOOD, Path("net/things.py")) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"""What it is for."""', "", "no docstring that says"),
        ('__all__ = ["LIMIT", "Thing", "make"]', "", "public names, but no __all__"),
        ('"make"]', '"make", "gone"]', "gone is in __all__ and nowhere else"),
        ('"""Make one."""', "...", "8: make has no docstring"),
        ('"""What it is."""', "...", "6: Thing has no docstring"),
    ],
)
def test_a_bad_one_does_not(old: str, new: str, problem: str) -> None:
    [found] = problems_in(GOOD.replace(old, new), Path("net/things.py"))
    assert found.startswith(f"securechat/net/things.py: {problem}")


@pytest.mark.parametrize(
    "logic",
    [
        "LIMIT = 3",
        "COMMANDS = build()",
        "def f():\n    '''Do.'''",
        "if True:\n    import re",
        "print()",
        "'''Second.'''",
    ],
)
def test_logic_in_an_init_is_noticed(logic: str) -> None:
    source = f'"""Docstring."""\nimport re\n__all__ = []\n__version__ = "1"\n{logic}\n'
    found = problems_in(source, Path("net/__init__.py"))
    assert found == ["securechat/net/__init__.py: 5: logic in a package's __init__"]


def test_names_may_come_in_many_ways() -> None:
    source = '''
"""Docstring."""
import os.path
from re import compile as make
__all__ = ["A", "B", "C", "D", "E", "make", "os"]
A = B = 1
(C, D) = 2, 3
try:
    from x import E
except ImportError:
    E = None
'''
    assert problems_in(source, Path("net/things.py")) == []
