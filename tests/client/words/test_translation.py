"""The clients speak Russian: all of what they say, and so that people understand it."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from babel.messages.catalog import Catalog, Message

from scripts import translations
from securechat.client.cli import main
from securechat.client.words import refusals
from securechat.client.words.translation import (
    _,
    choose_language,
    explain,
    gettext_noop,
    language,
    languages,
    ngettext,
)
from securechat.errors import ConfigError, LocalProtocolError, NetworkError
from tests.client import text_checker
from tests.client.talkers import Talker
from tests.server.relay_harness import RunningRelay

CATALOGUES: Final = translations.files()
MODULES: Final = translations.modules()

USER_INTERFACE: Final = [
    path for path in MODULES if path.relative_to(translations.PACKAGE).parts[0] == "client"
]
"""The modules whose strings may be shown: no words there without a mark."""

PASSED_ON: Final = {
    ("client/connector.py", "event.text"): "what the server says",
    ("client/connector.py", "reason"): "what the server says",
    ("client/peers.py", "self._connector.why_no_hub"): "marked in there",
    ("client/assistant/setup.py", "event.reason"): "what the server says",
    ("net/connection.py", "error.strerror or str(error)"): "what the system says",
    ("net/dialer.py", "told"): "marked in the table",
    ("net/listener.py", "told"): "marked in the table",
    ("net/tls.py", "advice"): "marked in the table",
    ("net/tls.py", "error.strerror or str(error)"): "what the system says",
    ("net/tls.py", "text"): "marked in the table",
    ("peer/files.py", "failure"): "marked by the caller",
    ("peer/known_peers.py", "failure"): "marked by the caller",
    ("peer/path.py", "error.message"): "another error, as another kind",
}
"""The errors that are not made of a literal, and why."""


NOT_SHOWN: Final = {
    ("client/chat/completion.py", "(addresses|files) (on|off)"): "what people type",
    ("client/assistant/ca_fetch.py", "no application protocol"): "what OpenSSL says",
    ("client/assistant/failures.py", ".*[^.]"): "by what an error is known: its text, or OpenSSL's",
    ("client/chat/scrollback.py", "catch up"): "the name of a state",
    ("client/tui/search_screen.py", "not asked"): "the name of a state",
    ("client/tui/setup_screen.py", "pass show chat"): "what people type",
}
"""The strings of words that need no mark, and why."""


# Whoever only collects the tests need not wait for these.


@cache
def texts() -> list[translations.Text]:
    return translations.extract()


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


@cache
def errors() -> frozenset[str]:
    return translations.error_names(trees().values())


@pytest.fixture
def russian(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANGUAGE", "en")  # which choosing a language changes
    choose_language("ru")
    yield
    choose_language("en")


def relative(path: Path) -> str:
    return path.relative_to(translations.PACKAGE).as_posix()


# ---- the catalogues ----


@pytest.fixture(params=CATALOGUES, ids=lambda path: path.parent.parent.name)
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    path: Path = request.param
    return translations.read(path)


def test_there_is_a_catalogue_of_each_language_but_english() -> None:
    assert languages() == ["en", "ru"]
    assert [path.parent.parent.name for path in CATALOGUES] == ["ru"]


def test_all_texts_are_translated_and_no_others(catalogue: Catalog) -> None:
    assert translations.missing(translations.updated(catalogue, texts())) == []
    assert {message.id for message in catalogue if message.id} == set(texts())


def test_no_translation_is_a_guess(catalogue: Catalog) -> None:
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []


def fields(text: str) -> Counter[str]:
    """Return what is filled into a text: names in braces, and those of ``%``."""
    braces = [
        f"{name}:{spec}!{conversion}"
        for _before, name, spec, conversion in string.Formatter().parse(text)
        if name is not None
    ]
    return Counter({*braces, *re.findall(r"%(?:\(\w+\))?[rsd]", text)})


def misplaced(message: Message) -> bool:
    originals = [message.id] if isinstance(message.id, str) else list(message.id)
    wanted = [fields(original) for original in originals]
    translated = [message.string] if isinstance(message.string, str) else message.string
    return any(fields(text) not in wanted for text in translated if text)


def test_what_is_filled_in_is_the_same(catalogue: Catalog) -> None:
    assert [message.id for message in catalogue if message.id and misplaced(message)] == []


@pytest.mark.parametrize(
    ("original", "translated"),
    [
        ("{nick} left", "ушёл"),
        ("{nick} left", "{ник} ушёл"),
        ("{time:%H} now", "сейчас {time}"),
        ("{host!r}?", "{host}?"),
        ("%(prog)s", "prog"),
        ("{nick}", "{nick} {room}"),
    ],
)
def test_what_is_filled_in_otherwise_is_noticed(original: str, translated: str) -> None:
    assert misplaced(Message(original, translated))
    assert not misplaced(Message(original, original))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.parent.name)
def test_the_files_are_what_the_script_writes(path: Path) -> None:
    catalog = translations.updated(translations.read(path), texts())
    assert path.read_bytes() == translations.as_po(catalog)
    assert path.with_suffix(".mo").read_bytes() == translations.as_mo(catalog)


def test_the_script_finds_all_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert translations.main(["--check"]) == 0
    assert capsys.readouterr().out == "all is up to date\n"


def test_the_script_keeps_translations_and_forgets_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "ru" / "LC_MESSAGES" / "securechat.po"
    path.parent.mkdir(parents=True)
    translations.bring_up_to_date(path, ["tea", "{n} cups"], change=True)
    filled = path.read_text("utf-8").replace('"tea"\nmsgstr ""', '"tea"\nmsgstr "чай"')
    path.write_text(filled, encoding="utf-8")
    texts: list[translations.Text] = [("{count} pot", "{count} pots"), "tea"]
    stale = translations.bring_up_to_date(path, texts, change=False)
    assert [problem.rpartition("; ")[2] for problem in stale] == [
        "securechat.po: not translated: '{count} pot'",
        "run scripts/translations.py",
        "run scripts/translations.py",
    ]
    assert path.read_text("utf-8") == filled
    translations.bring_up_to_date(path, texts, change=True)
    assert translations.read(path)["tea"].string == "чай"
    assert "{n} cups" not in translations.read(path)
    assert path.read_text("utf-8").count("msgstr[") == 3


# ---- the sources ----


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_errors_can_be_translated(path: Path) -> None:
    allowed = {text for module, text in PASSED_ON if module == relative(path)}
    assert list(text_checker.errors_in(trees()[path], errors(), allowed)) == []


def test_no_exception_is_left_over() -> None:
    found = {
        (relative(path), text)
        for path, tree in trees().items()
        for _line, text in text_checker.errors_in(tree, errors())
    }
    assert set(PASSED_ON) <= found
    for module, pattern in NOT_SHOWN:
        words = text_checker.words_in(trees()[translations.PACKAGE / module], errors())
        assert any(re.fullmatch(pattern, text) for _line, text in words)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_marks_are_around_literals(path: Path) -> None:
    assert list(text_checker.marks_in(trees()[path])) == []


@pytest.mark.parametrize(
    "path",
    USER_INTERFACE,
    ids=relative,
)
def test_what_is_shown_is_marked(path: Path) -> None:
    patterns = [pattern for module, pattern in NOT_SHOWN if module == relative(path)]
    found = [
        (line, text)
        for line, text in text_checker.words_in(trees()[path], errors())
        if not any(re.fullmatch(pattern, text) for pattern in patterns)
    ]
    if path.parent.name == "tui":
        found += text_checker.shown_in(trees()[path])
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "raise NetworkError(f'no {name}')",
        "raise NetworkError('no ' + name)",
        "raise NetworkError('no {}'.format(name))",
        "raise NetworkError('no %s' % name)",
        "raise NetworkError(text)",
        "raise errors.NetworkError(str(error))",
        "raise ConfigError([f'no {name}'])",
        "raise ConfigError(['no ' + name])",
        "raise CertificateRejected('no', check='expired', advice='do ' + it)",
        "raise NetworkError('no' if a else no)",
    ],
)
def test_an_error_that_cannot_be_translated_is_noticed(source: str) -> None:
    assert len(list(text_checker.errors_in(ast.parse(source), errors()))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "raise NetworkError('no {name}', name=name)",
        "raise NetworkError('one ' 'and two')",
        "raise NetworkError",
        "raise NetworkError()",
        "raise NetworkError('no' if a else 'yes')",
        "_NO = gettext_noop('no')\nraise NetworkError(_NO)",
        "raise ConfigError([_('no {name}', name=name), gettext_noop('none')])",
        "raise ValueError(f'no {name}')",
    ],
)
def test_an_error_that_can_be_translated(source: str) -> None:
    assert list(text_checker.errors_in(ast.parse(source), errors())) == []


@pytest.mark.parametrize(
    "source",
    [
        "_(f'{nick} left')",
        "_('left ' + room)",
        "_('left {}'.format(room))",
        "gettext_noop(TEXT)",
        "ngettext('one', f'{many}', 2)",
        "ngettext(ONE, 'many', 2)",
        "f\"{_(f'{nick} left')}\"",
    ],
)
def test_a_mark_that_no_catalogue_can_know_is_noticed(source: str) -> None:
    assert len(list(text_checker.marks_in(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source", ["_('left')", "_(WORDS[kind])", "_(error.advice)", "catalogue.ngettext(one, many, 2)"]
)
def test_a_mark_of_a_literal_or_of_what_was_marked(source: str) -> None:
    assert list(text_checker.marks_in(ast.parse(source))) == []


@pytest.mark.parametrize(
    "source",
    [
        "show('they left')",
        "show(f'{nick} has left')",
        "TEXT = 'they left'",
        "{'left': 'they left'}",
        "raise NetworkError('no', name='they left')",
        "show('they left', _('they left'))",
        "show(_('{who} left', who=f'{nick} and others'))",
    ],
)
def test_words_without_a_mark_are_noticed(source: str) -> None:
    assert len(list(text_checker.words_in(ast.parse(source), errors()))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "'''They left.'''\nx = 1\n'''How it is.'''",
        "show(_('they left'))",
        "show(f\"! {_('they left')}\")",
        "assert x, 'they left'",
        "raise NetworkError('they left')",
        "say('PRIVMSG', '#room')",
    ],
)
def test_what_is_no_text_or_is_marked(source: str) -> None:
    assert list(text_checker.words_in(ast.parse(source), errors())) == []


@pytest.mark.parametrize(
    "source",
    [
        "Label('Send')",
        "Label(f'Send {name}')",
        "Button('Send', id='send')",
        "Input(id='a')\nself.border_title = 'Rooms'",
        "Binding('f1', 'help', 'Help')",
        "Binding('f1', 'help', description='Help')",
        "self.notify('Gone')",
        "Static(placeholder='Name')",
    ],
)
def test_a_single_word_that_is_shown_is_noticed(source: str) -> None:
    assert len(list(text_checker.shown_in(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "Label(_('Send'), id='send', classes='wide')",
        "Label('✓')",
        "Binding('f1', 'help', gettext_noop('Help'))",
        "self.border_title = _('Rooms')",
        "self.id = 'rooms'",
    ],
)
def test_what_is_shown_and_marked_or_not_shown(source: str) -> None:
    assert list(text_checker.shown_in(ast.parse(source))) == []


# ---- the language in use ----


def test_english_is_what_the_code_says() -> None:
    assert language() == "en"
    assert _("{nick} joined {room}", nick="bob", room="#tea") == "bob joined #tea"
    assert ngettext("{count} person", "{count} people", 1) == "1 person"
    assert gettext_noop("{nick} quit") == "{nick} quit"


@pytest.mark.usefixtures("russian")
def test_russian() -> None:
    assert language() == "ru"
    assert _("{nick} joined {room}", nick="{b}", room="#tea") == "{b} входит в #tea"
    assert _("") == ""
    assert _("nobody has marked this") == "nobody has marked this"
    people = [ngettext("{count} person", "{count} people", count) for count in (1, 2, 5, 11, 21)]
    assert people == ["1 человек", "2 человека", "5 человек", "11 человек", "21 человек"]


@pytest.mark.usefixtures("russian")
def test_errors_explain_themselves_down_to_their_cause() -> None:
    cause = LocalProtocolError("the password is empty")
    error = NetworkError("the server does not speak IRC properly: {error}", error=cause)
    assert explain(error) == "сервер нарушает протокол IRC: пароль пуст"
    assert str(error) == "the server does not speak IRC properly: the password is empty"
    assert explain(ConfigError(["declined", "the file is gone"])) == "отклонено\nthe file is gone"
    assert explain(OSError("gone")) == "gone"


@pytest.mark.usefixtures("russian")
@pytest.mark.parametrize(
    ("code", "said", "shown"),
    [
        ("433", "Nickname is already in use", "этот ник занят"),
        ("433", "Ce pseudo est pris", "этот ник занят"),
        ("404", "Cannot send to channel (+n)", "в эту комнату пишут только те, кто в ней"),
        ("404", "Speak friend", "вам нельзя писать в эту комнату"),
        ("WEAK_PASSWORD", "Too short", "пароль слишком простой, придумайте подлиннее"),
        ("499", "Something\x07 else", "Something\N{REPLACEMENT CHARACTER} else"),
        ("NOT_CONFIRMED", "it could not be reached again", "восстановить связь не удалось"),
        (
            "",
            "Closing link: Excess Flood",
            "сервер закрыл соединение: слишком много сообщений подряд",
        ),
        ("", "b{o}b has ended it", "b{o}b заканчивает сеанс"),
        ("", "cancelled has ended it", "cancelled заканчивает сеанс"),
        (
            "",
            "the relay takes ann for eve, but you know a ann",
            "сервер считает, что ann — это eve, но вам известен другой ann",
        ),
        (
            "",
            "the relay takes ann for eve, but you know a bob",
            "the relay takes ann for eve, but you know a bob",
        ),
    ],
)
def test_what_others_say_is_translated_as_far_as_it_is_known(
    code: str, said: str, shown: str
) -> None:
    assert refusals.refusal(code, said) == shown


@pytest.mark.parametrize(
    "said", ["Nickname is already in use", "Ce pseudo est pris", "bob has ended it"]
)
def test_in_english_others_are_quoted(said: str) -> None:
    assert refusals.refusal("433", said) == said
    assert refusals.reason(f"{said}\x1b[2J") == f"{said}\N{REPLACEMENT CHARACTER}[2J"


def test_the_reasons_with_something_filled_in_are_those_that_are_given() -> None:
    elsewhere = {
        text
        for path, tree in trees().items()
        if path.name != "refusals.py"
        for text in translations.texts_in(tree, errors())
    }
    templates = {template for template, _pattern in refusals._PATTERNS}
    given_by_the_server = {
        template
        for template in templates
        if template.startswith(("Closing link: ", "This relay is cut off "))
    }
    assert templates - given_by_the_server <= elsewhere


# ---- the programs ----


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the client with nothing to read."""
    code = "import sys; from securechat.client.cli import main; sys.exit(main())"
    clean = {name: value for name, value in os.environ.items() if name != "LANGUAGE"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**clean, "PYTHONUTF8": "1", "COLUMNS": "100", **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--lang", "ru", "--help"), {"LANG": "C.UTF-8"}),
        (("--help", "--lang=ru"), {"LANGUAGE": "en"}),
        (("--help",), {"LANGUAGE": "ru"}),
        (("--help",), {"LC_ALL": "ru_RU.UTF-8"}),
    ],
)
def test_help_in_russian(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    done = run(*arguments, **environment)
    assert done.returncode == 0
    for words in (
        "использование: securechat-client",
        "параметры:",
        "показать эту справку и выйти",
        "--join #КОМНАТА",
        "Клиент чата: IRC через TLS",
        "коды завершения:",
    ):
        assert words in done.stdout
    assert "show" not in done.stdout


def test_mistakes_in_russian() -> None:
    done = run("--lang", "ru", "--port", "0", "--count", "0")
    assert done.returncode == 2
    assert "ошибка: --port должен быть от 1 до 65535\n" in done.stderr
    assert "--count требует --receive" in done.stderr


@pytest.mark.parametrize("unknown", ["xx", "../ru", ""])
def test_a_language_that_there_is_not(unknown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["--lang", unknown])
    assert exited.value.code == 2
    told = capsys.readouterr().err
    assert f"argument --lang: invalid choice: {unknown!r}" in told
    assert all(f"'{one}'" in told for one in languages())


def test_a_language_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["--lang"])
    assert exited.value.code == 2
    assert "argument --lang: expected one argument" in capsys.readouterr().err


@pytest.mark.usefixtures("russian")
def test_a_conversation_in_russian(relay: RunningRelay, tmp_path: Path) -> None:
    with contextlib.ExitStack() as people:
        ann, bob = (Talker(relay, name, tmp_path / name) for name in ("ann", "bob"))
        for one in (ann, bob):
            people.callback(one.close)
            relay.account(one.name).quit()
            one.client.start()
            one.wait_for(f"ваш ник {one.name}, вход в учётную запись {one.name}")
            one.type("/join #room")
            one.wait_for("--> вы вошли в #room")
            one.sync()
        assert ann.wait_for("bob входит").endswith("--> bob входит в #room (2 человека)")
        assert ann.type("/kick #room") == ["! использование: /kick [#КОМНАТА] НИК [ПРИЧИНА]"]
        assert ann.type("/nonsense") == ["! команды /nonsense нет; список — /help"]
        ann.type("/msg nobody hello")
        assert ann.wait_for("не доставлено, nobody:").endswith(
            "такого человека или такой комнаты нет"
        )
        ann.type("/topic чай")
        bob.wait_for("* ann меняет тему #room: чай")
        ann.type("/peer bob")
        bob.wait_for("ann (учётная запись ann) предлагает сеанс, впервые")
        bob.type("/accept")
        for one, other in ((ann, "bob"), (bob, "ann")):
            one.wait_for(f"* сеанс с {other}: через сервер; не проверено")
        ann.type("/query bob")
        assert ann.ui.prompt == "[bob 🔒 через сервер] "
        bob.type("/close ann")
        ann.wait_for("! сеанс с bob окончен: bob заканчивает сеанс")
