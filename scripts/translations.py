"""Bring the catalogues of the clients' texts up to date, and compile them.

::

    .venv/bin/python scripts/translations.py            all of securechat/locale/
    .venv/bin/python scripts/translations.py --check    change nothing; say what is stale

A text that is new gets an empty translation, for people to fill in: the clients show it in English
meanwhile, and the tests fail. One that is gone goes. Needs the package ``babel`` (the test extra).
Exit codes: 0 all is up to date; 1 something was stale (with ``--check``) or is not translated yet.
"""

import argparse
import ast
import importlib.util
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("securechat") is None:  # from a checkout, not installed
    sys.path.insert(0, str(ROOT))

from securechat import errors  # noqa: E402 - the path had to be set
from securechat.client.words.translation import DOMAIN, LOCALES  # noqa: E402

PACKAGE = Path(errors.__file__).parent

SOURCES = ("errors.py", "invite_link.py", "pki.py", "client", "irc", "net", "peer")
"""What a user of a client gets to see comes from here; ``server`` speaks to operators."""

MARKS = frozenset({"_", "gettext_noop"})
PLURAL_MARK = "ngettext"

ARGPARSE = (
    "%(prog)s: error: %(message)s\n",
    "ambiguous option: %(option)s could match %(matches)s",
    "argument %(argument_name)s: %(message)s",
    "expected at least one argument",
    "expected at most one argument",
    "expected one argument",
    "ignored explicit argument %r",
    "invalid %(type)s value: %(value)r",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "not allowed with argument %s",
    "one of the arguments %s is required",
    "options",
    "positional arguments",
    "show this help message and exit",
    "the following arguments are required: %s",
    "unrecognized arguments: %s",
    "usage: ",
    ("expected %s argument", "expected %s arguments"),
)
"""What the standard library says of a command line: it asks our catalogue."""

HEAD = "# The texts of the clients; scripts/translations.py brings this up to date."

Text = str | tuple[str, str]
"""A text, or one for a number of things: of one, and of many."""


class SteadyCatalog(Catalog):
    """A catalogue that is written the same each time: its head has no dates and no versions."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """The head, but for its comment."""
        return [
            ("Project-Id-Version", DOMAIN),
            ("Language", str(self.locale_identifier)),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def modules() -> list[Path]:
    """Return the modules whose texts are translated."""
    found = [PACKAGE / name for name in SOURCES]
    return sorted(
        module for path in found for module in (path.rglob("*.py") if path.is_dir() else [path])
    )


def error_names(trees: Iterable[ast.Module]) -> frozenset[str]:
    """Return the names of all error classes: those of ``errors``, and their heirs in ``trees``."""
    names = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.SecureChatError)
    }
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while heirs := {
        node.name
        for node in classes
        if node.name not in names
        and any(ast.unparse(base).rpartition(".")[2] in names for base in node.bases)
    }:
        names |= heirs
    return frozenset(names)


def texts_in(tree: ast.Module, errors_known: frozenset[str]) -> Iterator[Text]:
    """Yield the texts that are marked in a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == PLURAL_MARK:
            one, many = (next(_literals(argument), "") for argument in node.args[:2])
            yield one, many
        elif name in MARKS or name in errors_known:
            yield from _literals(node.args[0])
            for keyword in node.keywords:
                if name in errors_known and keyword.arg == "advice":
                    yield from _literals(keyword.value)


def _literals(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.IfExp():
            yield from _literals(node.body)
            yield from _literals(node.orelse)
        case ast.List() | ast.Tuple():  # the problems of a ConfigError
            for element in node.elts:
                yield from _literals(element)


def extract() -> list[Text]:
    """Return all texts of the clients, sorted."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules()]
    known = error_names(trees)
    found = {text for tree in trees for text in texts_in(tree, known)} | set(ARGPARSE)
    return sorted(found, key=_first)


def _first(text: Text) -> str:
    return text if isinstance(text, str) else text[0]


def updated(old: Catalog, texts: Iterable[Text]) -> Catalog:
    """Return the catalogue of ``texts``, with the translations that ``old`` has."""
    new = SteadyCatalog(locale=old.locale, header_comment=HEAD, fuzzy=False)
    for text in texts:
        empty: str | tuple[str, ...] = "" if isinstance(text, str) else ("",) * new.num_plurals
        known = old.get(_first(text))
        fits = known is not None and isinstance(known.id, str) == isinstance(text, str)
        new.add(text, known.string if fits else empty).flags.clear()
    return new


def read(path: Path) -> Catalog:
    """Return the catalogue of the language whose folder the file is in."""
    language = path.parent.parent.name
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def as_po(catalog: Catalog) -> bytes:
    """Return the catalogue as text for people: sorted, without places, so that changes are few."""
    out = io.BytesIO()
    write_po(out, catalog, width=100, no_location=True, sort_output=True)
    return out.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    """Return the catalogue as ``gettext`` reads it."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def missing(catalog: Catalog) -> list[str]:
    """Return the texts without a translation, or with a part of one."""
    return [
        _first(message.id)
        for message in catalog
        if message.id
        and not all([message.string] if isinstance(message.string, str) else message.string)
    ]


def files(locales: Path = LOCALES) -> list[Path]:
    """Return the catalogues that there are, or should be."""
    return [
        path / "LC_MESSAGES" / f"{DOMAIN}.po" for path in sorted(locales.iterdir()) if path.is_dir()
    ]


def bring_up_to_date(path: Path, texts: Sequence[Text], *, change: bool) -> list[str]:
    """Write one catalogue and what it compiles to; return what was stale or is missing."""
    catalog = updated(read(path), texts)
    problems = [f"{path.name}: not translated: {text!r}" for text in missing(catalog)]
    for target, wanted in ((path, as_po(catalog)), (path.with_suffix(".mo"), as_mo(catalog))):
        if target.exists() and target.read_bytes() == wanted:
            continue
        if change:
            target.write_bytes(wanted)
        else:
            problems.append(f"{target}: stale; run scripts/translations.py")
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="translations.py",
        description="Bring the catalogues of the clients' texts up to date, and compile them.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; say what is stale")
    check = parser.parse_args(argv).check
    texts = extract()
    problems = [
        problem for path in files() for problem in bring_up_to_date(path, texts, change=not check)
    ]
    print("\n".join(problems) or "all is up to date")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
