"""Finds texts that nobody can translate: unmarked ones, and marks that no catalogue can know.

Read from the source, so that no extra need be there and no text is missed for want of a test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import Final

__all__ = ["errors_in", "marks_in", "shown_in", "words_in"]

MARKS: Final = frozenset({"_", "gettext_noop", "ngettext"})

WORDS: Final = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
"""What only a text for people has: two words."""

LETTERS: Final = re.compile(r"[A-Za-z]{2,}")

PROGRAM: Final = "securechat"
"""It is called so in every language."""

STYLE: Final = re.compile(r"(?: ?(?:not|bold|dim|italic|reverse|strike|underline|on [\w$-]+))+")
"""How Rich and Textual write a style."""

UNSEEN: Final = frozenset(
    {"IoThread", "TimeoutError", "ValueError", "compile", "make_lock", "start_thread"}
)
"""What is given words that no user sees: of threads and locks, of patterns, of wrong programs."""

SHOWING: Final = {
    "Button": 0,
    "Checkbox": 0,
    "Label": 0,
    "RadioButton": 0,
    "Static": 0,
    "notify": 0,
    "Binding": 2,
}
"""What shows a text, and which of its arguments that is."""

SHOWN_KEYWORDS: Final = frozenset(
    {"description", "label", "placeholder", "prompt", "title", "tooltip"}
)

SHOWN_ATTRIBUTES: Final = frozenset(
    {"border_subtitle", "border_title", "placeholder", "sub_title", "title", "tooltip"}
)


def errors_in(
    tree: ast.Module, errors: Collection[str], allowed: Collection[str] = ()
) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each error that is not made of a literal.

    The problems of a ``ConfigError`` may be translated where they are found, and put together.

    :param errors: the names of the classes.
    :param allowed: first arguments that may be something else, as ``ast.unparse`` writes them.
    """
    constants = _marked_constants(tree)
    for call in _calls(tree):
        if _name(call) == "ConfigError":
            yield from _unmarked_problems(call)
        elif _name(call) in errors and call.args:
            texts = [call.args[0], *(k.value for k in call.keywords if k.arg == "advice")]
            for text in texts:
                if not (_is_text(text, constants) or ast.unparse(text) in allowed):
                    yield text.lineno, ast.unparse(text)


def _unmarked_problems(call: ast.Call) -> Iterator[tuple[int, str]]:
    marked = set(_marked(call))
    for node in ast.walk(call):
        if isinstance(node, ast.JoinedStr | ast.BinOp) and id(node) not in marked:
            for text in _strings(node, marked):
                if LETTERS.search(text.value):
                    yield text.lineno, text.value


def marks_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each mark around something that is put together there.

    A text that was marked elsewhere is translated by its name: ``_(MARKED)``.
    """
    for call in _calls(tree):
        if _name(call) not in MARKS or not call.args:
            continue
        texts = call.args[: 2 if _name(call) == "ngettext" else 1]
        for text in texts:
            named = (
                isinstance(text, ast.Name | ast.Attribute | ast.Subscript) and _name(call) == "_"
            )
            if not (named or _is_text(text, frozenset())):
                yield text.lineno, ast.unparse(text)


def words_in(tree: ast.Module, errors: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string of words that is not marked.

    Docstrings, assertions and the texts of errors do not count.
    """
    skipped = set(_skipped(tree, errors))
    yield from (
        (node.lineno, node.value)
        for node in _strings(tree, skipped)
        if WORDS.search(node.value) and not STYLE.fullmatch(node.value)
    )


def shown_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string that is shown as it is: single words too."""
    for node in ast.walk(tree):
        for shown in _shown(node):
            yield from (
                (text.lineno, text.value)
                for text in _parts(shown)
                if LETTERS.search(text.value) and text.value != PROGRAM
            )


def _shown(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Call():
            place = SHOWING.get(_name(node))
            if place is not None:
                yield from node.args[place : place + 1]
                yield from (k.value for k in node.keywords if k.arg in SHOWN_KEYWORDS)
        case ast.Assign(targets=[ast.Name(id="TITLE" | "SUB_TITLE")], value=value):
            yield value
        case ast.Assign(targets=[ast.Attribute(attr=name)], value=value):
            if name in SHOWN_ATTRIBUTES:
                yield value


def _parts(node: ast.expr) -> Iterator[ast.Constant]:
    """Yield the strings that a text is put together of, but not what calls are given."""
    match node:
        case ast.Constant(value=str()):
            yield node
        case ast.JoinedStr(values=values):
            for value in values:
                yield from _parts(value)
        case ast.BinOp(left=left, right=right) | ast.IfExp(body=left, orelse=right):
            yield from _parts(left)
            yield from _parts(right)


def _marked(tree: ast.AST) -> Iterator[int]:
    for call in _calls(tree):
        if _name(call) in MARKS:
            yield from (id(text) for argument in call.args for text in ast.walk(argument))


def _is_text(node: ast.expr, constants: Collection[str]) -> bool:
    match node:
        case ast.Constant():
            return isinstance(node.value, str)
        case ast.Name():
            return node.id in constants
        case ast.IfExp():
            return _is_text(node.body, constants) and _is_text(node.orelse, constants)
        case ast.Call():
            return _name(node) in MARKS
        case _:
            return False


def _marked_constants(tree: ast.Module) -> frozenset[str]:
    """Return the names in ``tree`` that stand for a marked text."""
    return frozenset(
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and _name(node.value) in MARKS
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    )


def _skipped(tree: ast.Module, errors: Collection[str]) -> Iterator[int]:
    """Yield what of the tree is looked at by nobody who uses the program, or is looked at above."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                yield id(text)
            case ast.Assert(msg=ast.expr() as message):
                yield from map(id, ast.walk(message))
            case ast.Call(args=[first, *_rest]) if _name(node) in errors or _name(node) in UNSEEN:
                yield from map(id, ast.walk(first))
            case ast.Assign(targets=[ast.Name(id="CSS" | "DEFAULT_CSS")], value=value):
                yield from map(id, ast.walk(value))
            case ast.AnnAssign(
                target=ast.Name(id="CSS" | "DEFAULT_CSS"), value=ast.expr() as value
            ):
                yield from map(id, ast.walk(value))
    yield from _marked(tree)


def _strings(tree: ast.AST, skipped: Collection[int]) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
        ):
            yield node


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        # catalogue.ngettext(…) is no mark: what is a mark is called by its name alone.
        return "" if function.attr in MARKS else function.attr
    return function.id if isinstance(function, ast.Name) else ""
