"""Whatever a file is called elsewhere, here it lies in its folder, under a name that shows it."""

from __future__ import annotations

import ntpath
import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import StoreError
from securechat.peer import file_names
from securechat.peer.file_names import NAME_BYTES, place, safe_name

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")


def is_reserved(name: str) -> bool:
    if hasattr(ntpath, "isreserved"):  # since Python 3.13
        return bool(ntpath.isreserved(name))
    return PureWindowsPath(name).is_reserved()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Grüße aus Köln.txt", "Grüße aus Köln.txt"),
        ("世界.tar.gz", "世界.tar.gz"),
        ("👋🏽❤️.png", "👋🏽❤️.png"),
        ("link.lnk", "link.lnk"),
        ("setup.exe", "setup.exe"),
        ("no extension", "no extension"),
        # other folders
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("a/../b", "b"),
        ("a/..", "file"),
        ("a/", "file"),
        ("..\\..\\x", "x"),
        ("C:\\x", "x"),
        ("C:x", "C_x"),
        ("\\\\server\\share\\x", "x"),
        ("~/x", "x"),
        # nothing
        ("", "file"),
        (".", "file"),
        ("..", "file"),
        ("...", "file"),
        (" . ", "file"),
        ("\u202e", "file"),
        ("\u200b.\u200b", "file"),
        # hidden, or not what it looks like
        (".bashrc", "bashrc"),
        ("..hidden.txt", "hidden.txt"),
        ("x.txt.", "x.txt"),
        ("x.txt . .", "x.txt"),
        ("x .txt", "x .txt"),
        ("annexe\u202efdp.exe", "annexefdp.exe"),
        ("in\u2066voice\u2069.pdf", "invoice.pdf"),
        ("ali\u200bce\ufeff.txt", "alice.txt"),
        ("photo.jpg" + " " * 90 + ".exe", "photo.jpg .exe"),
        ("photo.jpg" + "\u3000\u00a0" * 9 + "x.exe", "photo.jpg x.exe"),
        # characters that are no part of a name
        ("x\0y", "x_y"),
        ("x\x1b[2Jy", "x_[2Jy"),
        ("x\x7f\x9by", "x__y"),
        ("x\r\ny\tz", "x y z"),
        ("x\u2028y", "x y"),
        ("\ud800.txt", "_.txt"),
        ('<>:"|?*', "_______"),
        ("x.txt:stream", "x.txt_stream"),
        # devices
        ("con", "_con"),
        ("con.txt", "_con.txt"),
        ("CON .txt", "_CON .txt"),
        ("Nul.tar.gz", "_Nul.tar.gz"),
        ("com1", "_com1"),
        ("LPT².txt", "_LPT².txt"),
        ("CONOUT$", "_CONOUT$"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
        # composed
        ("u\u0308.txt", "ü.txt"),
        ("u\u200b\u0308.txt", "ü.txt"),
        # long
        ("x" * 10_000, "x" * NAME_BYTES),
        ("x" * 10_000 + ".pdf", "x" * (NAME_BYTES - 4) + ".pdf"),
        ("ü" * 150 + ".pdf", "ü" * 98 + ".pdf"),
        ("👋" * 60, "👋" * 50),
        ("x" * 195 + ". " * 50 + "y.pdf", "x" * 195 + ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 198),
        ("..1111111 1" * 40, ("1111111 1.." * 19)[:200]),
        ("x" * 300 + ". And then we went home", "x" * NAME_BYTES),
    ],
)
def test_safe_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe


NASTY = st.text(st.sampled_from("abCcoOnN.. /\\:*\0\x85\u202e\u200d\u0301ü️👋$¹1\ud800\u037e\u2000"))


@pytest.mark.parametrize("texts", [st.text(), NASTY, NASTY.map(lambda text: text * 40)])
def test_whatever_comes(texts: st.SearchStrategy[str]) -> None:
    @given(texts)
    def check(text: str) -> None:
        name = safe_name(text)
        assert 0 < len(name.encode()) <= NAME_BYTES
        assert safe_name(name) == name
        for flavour in (PurePosixPath, PureWindowsPath):
            assert flavour(name).parts == (name,)
            assert flavour("folder", name).parent == flavour("folder")
        assert not is_reserved(name)
        assert name not in (".", "..")
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
        assert not set(name) & set('<>:"|?*/\\')
        assert unicodedata.is_normalized("NFC", name)
        assert not {unicodedata.category(character) for character in name} & {
            *("Cc", "Cf", "Cs", "Zl", "Zp")
        }

    check()


class TestPlace:
    def test_the_first_has_its_name_and_the_next_a_number(self, tmp_path: Path) -> None:
        paths = [place(tmp_path, "report.pdf") for _ in range(3)]
        assert [path.name for path in paths] == ["report.pdf", "report (1).pdf", "report (2).pdf"]
        assert {path.parent for path in paths} == {tmp_path}
        assert [path.read_bytes() for path in paths] == [b""] * 3

    def test_without_an_extension(self, tmp_path: Path) -> None:
        assert [place(tmp_path, "notes").name for _ in range(2)] == ["notes", "notes (1)"]

    def test_the_name_is_made_safe(self, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        assert place(tmp_path / "inner", "../../evil") == tmp_path / "inner" / "evil"
        assert os.listdir(tmp_path) == ["inner"]

    def test_a_long_name_has_room_for_a_number(self, tmp_path: Path) -> None:
        paths = [place(tmp_path, "ü" * 500 + ".pdf") for _ in range(2)]
        assert paths[1].name.endswith(" (1).pdf")

    def test_nothing_that_exists_is_touched(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("kept")
        (tmp_path / "a (1)").mkdir()
        assert place(tmp_path, "a").name == "a (2)"
        assert (tmp_path / "a").read_text() == "kept"

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "kept").write_text("kept")
        (tmp_path / "a (1)").symlink_to(tmp_path / "kept")
        assert place(tmp_path, "a").name == "a (2)"
        assert not (tmp_path / "elsewhere").exists()
        assert (tmp_path / "kept").read_text() == "kept"

    @posix_only
    def test_it_is_for_the_owner_alone(self, tmp_path: Path) -> None:
        assert stat.S_IMODE(place(tmp_path, "a").stat().st_mode) == 0o600

    def test_tries_are_limited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_names, "PLACES_TRIED", 2)
        for _ in range(2):
            place(tmp_path, "a.txt")
        with pytest.raises(StoreError, match=r"has 2 files called a.txt"):
            place(tmp_path, "a.txt")

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"cannot make .*gone.a: No such file"):
            place(tmp_path / "gone", "a")
