from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from securechat.client.chat.completion import CANDIDATES_LIMIT, Completer, Completion
from securechat.client.chat.emoji_names import EmojiNames, emoji_names
from securechat.client.commands.dispatch import COMMANDS
from securechat.client.commands.table import Command

NICKS = ["carl", "Ann", "annette", "bob", "экран"]
ROOMS = ["#home", "#Holidays", "&local"]
WORDS_IN_A = ["ask |", "always |", "addresses on |", "addresses off |"]


def a_completer(emoji: EmojiNames | None = None) -> Completer:
    return Completer(COMMANDS.values(), lambda: NICKS, lambda: ROOMS, emoji=emoji)


def complete(marked: str, *, asked: bool = True) -> list[str]:
    """Return all that ``marked`` may become; | is the cursor."""
    cursor = marked.index("|")
    text = marked.replace("|", "", 1)
    completion = a_completer().complete(text, cursor, asked=asked)
    if completion is None:
        return []
    assert completion.end == cursor
    return [
        f"{text[: completion.start]}{one.text}|{text[cursor:]}" for one in completion.candidates
    ]


TEXTS = [
    # nicks: who spoke last comes first
    ("an|", ["Ann: |", "annette: |"]),
    ("ANN|", ["Ann: |", "annette: |"]),
    ("hello an|", ["hello Ann |", "hello annette |"]),
    ("one\nbo|", ["one\nbob: |"]),
    ("bo| is here", ["bob: | is here"]),
    ("@an|", ["@Ann: |", "@annette: |"]),
    ("hi @bo|", ["hi @bob |"]),
    ("ЭК|", ["экран: |"]),
    ("xann|", []),
    ("|", []),
    ("hello |", []),
    # rooms
    ("see #ho|", ["see #home |", "see #Holidays |"]),
    ("#|", ["#home |", "#Holidays |"]),
    ("&l|", ["&local |"]),
    # commands
    ("/jo|", ["/join |"]),
    ("/J|", ["/join |"]),
    ("/LIS|", ["/list|"]),
    ("/leav|", ["/leave |"]),
    ("/qu|", ["/query |", "/quote |", "/quit |"]),
    (" /jo|", []),
    ("a /jo|", []),
    ("/nothing|", []),
    ("//jo|", []),
    ("//|", []),
    # what leaves the program
    ("exit|", []),
    ("ex|it", []),
]

ARGUMENTS = [
    ("/join #ho|", ["/join #home |", "/join #Holidays |"]),
    ("/join |", ["/join #home |", "/join #Holidays |", "/join &local |"]),
    ("/msg an|", ["/msg Ann |", "/msg annette |"]),
    ("/msg bob an|", ["/msg bob Ann |", "/msg bob annette |"]),
    ("/m   bo|", ["/m   bob |"]),
    ("/notice #hom|", ["/notice #home |"]),
    ("/notice bo|", ["/notice bob |"]),
    ("/whois bo|", ["/whois bob|"]),
    ("/kick bo|", ["/kick bob |"]),
    ("/kick #home bo|", ["/kick #home bob |"]),
    ("/kick #hom|", ["/kick #home |"]),
    ("/invite bob #hom|", ["/invite bob #home |"]),
    ("/me waves at bo|", ["/me waves at bob |"]),
    ("/trust an|", ["/trust Ann |", "/trust annette |"]),
    ("/trust bob a|", ["/trust bob " + word for word in WORDS_IN_A]),
    ("/trust bob addresses of|", ["/trust bob addresses off |"]),
    ("/trust bob ask |", []),
    ("/trust bob ask|", []),
    ("/verify bob y|", ["/verify bob yes |"]),
    ("/verify bob |", ["/verify bob yes |", "/verify bob no |"]),
    ("/help jo|", ["/help join|"]),
    ("/h quer|", ["/h query|"]),
    ("/nothing bo|", ["/nothing bob |"]),
]


@pytest.mark.parametrize(("marked", "expected"), TEXTS + ARGUMENTS)
def test_candidates(marked: str, expected: list[str]) -> None:
    assert complete(marked) == expected


@pytest.mark.parametrize(
    ("marked", "shown"),
    [
        ("/jo|", True),
        ("/trust bob |", True),
        ("/help |", True),
        ("so :smil|", True),
        ("bo|", False),
        ("/msg bo|", False),
        ("#ho|", False),
        ("/send bob |", False),
        ("exit|", False),
    ],
)
def test_what_is_shown_unasked(marked: str, shown: bool) -> None:
    assert bool(complete(marked, asked=False)) == shown


def test_a_command_tells_what_it_is() -> None:
    completion = a_completer().complete("/join", 5)
    assert completion is not None
    (candidate,) = completion.candidates
    assert candidate.label == "/join #ROOM [KEY]"
    assert candidate.hint == "enter a room and talk there"


def test_every_command_is_offered() -> None:
    completion = a_completer().complete("/", 1)
    assert completion is not None
    offered = [candidate.text.strip() for candidate in completion.candidates]
    assert offered == [f"/{name}" for name in COMMANDS]


def test_names_that_cannot_be_shown_are_not_offered() -> None:
    completer = Completer((), lambda: ["evil\x1b[2J", "even\u202e"], lambda: ["#e\x07"])
    assert completer.complete("ev", 2) is None
    assert completer.complete("#", 1) is None


def test_the_number_is_bounded() -> None:
    completer = Completer((), lambda: (f"nick{number}" for number in range(1000)), list)
    completion = completer.complete("ni", 2)
    assert completion is not None
    assert len(completion.candidates) == CANDIDATES_LIMIT


def test_a_command_of_any_table() -> None:
    wave = Command("wave", (), 1, 1, "/wave NICK|#ROOM", "wave", (), lambda _ui, _arguments: None)
    completer = Completer([wave], lambda: NICKS, lambda: ROOMS)
    completion = completer.complete("/wave ", 6)
    assert completion is not None
    assert [one.text for one in completion.candidates] == [
        *NICKS,
        "#home ",
        "#Holidays ",
        "&local ",
    ]


# ---- files ----


def paths(completion: Completion | None, text: str) -> list[str]:
    assert completion is not None
    return [text[: completion.start] + one.text for one in completion.candidates]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Holiday pictures").mkdir()
    (tmp_path / "Holiday pictures" / "sea 1.jpg").touch()
    (tmp_path / "holes.txt").touch()
    (tmp_path / "other.txt").touch()
    (tmp_path / ".hidden").touch()
    return tmp_path


def test_files(folder: Path) -> None:
    text = f"/send bob {folder}/ho"
    found = paths(a_completer().complete(text, len(text)), text)
    assert found == [f"/send bob {folder}/holes.txt", f"/send bob {folder}/Holiday pictures/"]
    assert paths(a_completer().complete(found[1], len(found[1])), found[1]) == [
        f"/send bob {folder}/Holiday pictures/sea 1.jpg"
    ]


def test_hidden_files_only_if_asked_for(folder: Path) -> None:
    text = f"/send bob {folder}/"
    assert len(paths(a_completer().complete(text, len(text)), text)) == 3
    assert paths(a_completer().complete(f"{text}.", len(text) + 1), text) == [f"{text}.hidden"]


def test_folders(folder: Path) -> None:
    text = f"/accept bob {folder}/"
    found = paths(a_completer().complete(text, len(text)), text)
    assert found == [f"{text}Holiday pictures/"]


def test_home_and_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    home, here = "/send bob ~/hole", "/send bob hole"
    assert paths(a_completer().complete(home, len(home)), home) == ["/send bob ~/holes.txt"]
    assert paths(a_completer().complete(here, len(here)), here) == ["/send bob holes.txt"]


@pytest.mark.parametrize("where", ["{folder}/nothing/", "~nobody-of-that-name/", "{folder}/\0/"])
def test_folders_that_are_not_there(folder: Path, where: str) -> None:
    text = f"/send bob {where.format(folder=folder)}"
    assert a_completer().complete(text, len(text)) is None


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names are refused there")
def test_file_names_that_cannot_be_shown(tmp_path: Path) -> None:
    (tmp_path / "bad\x1b[2J").touch()
    (tmp_path / "bad\udcff").touch()
    (tmp_path / "fine").touch()
    text = f"/send bob {tmp_path}{os.sep}"
    assert paths(a_completer().complete(text, len(text)), text) == [f"{text}fine"]


# ---- emoji ----


@pytest.mark.parametrize(
    ("word", "character"),
    [
        ("thumbs_up", "👍"),
        ("+1", "👍"),
        ("большой_палец_вверх", "👍"),
        ("HEART", "❤️"),
        ("Ёлка", "🌲"),
        ("france", "🇫🇷"),
    ],
)
def test_emoji_by_name(word: str, character: str) -> None:
    assert emoji_names().find(word, 10)[0][0] == character


def test_emoji_that_begin_so_come_first() -> None:
    names = EmojiNames([("ice_cream", "1"), ("cream", "2"), ("cr", "3"), ("ICE", "1"), ("x", "4")])
    assert names.find("CR", 10) == [("3", "cr"), ("2", "cream"), ("1", "ice_cream")]
    assert names.find("c", 2) == [("3", "cr"), ("2", "cream")]
    assert names.find("ice", 10) == [("1", "ICE")]


def test_emoji_have_no_skin_tones() -> None:
    assert len(emoji_names().find("waving_hand", 50)) == 1


@pytest.mark.parametrize(
    ("marked", "offered"),
    [
        (":smi|", True),
        ("so :улы|", True),
        ("/me :smi|", True),
        (":s|", False),
        ("10:smi|", False),
        (":-D|", False),
        (":12|", False),
        (":zzzz|", False),
    ],
)
def test_where_emoji_are_offered(marked: str, offered: bool) -> None:
    assert bool(complete(marked)) == offered


def test_an_emoji_replaces_its_colon() -> None:
    completer = a_completer(EmojiNames([("smile", "😄")]))
    completion = completer.complete("so :smi", 7)
    assert completion is not None
    (candidate,) = completion.candidates
    assert (completion.start, candidate.text, candidate.label) == (3, "😄", "😄 smile")


def test_without_the_package_there_are_no_emoji(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "emoji", None)
    emoji_names.cache_clear()
    try:
        assert a_completer().complete(":smi", 4) is None
    finally:
        emoji_names.cache_clear()
