"""Where downloads go."""

from __future__ import annotations

from pathlib import Path

import pytest

from securechat.client.settings.downloads import default_downloads
from securechat.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("", "~/Downloads"),
        ("# a comment", "~/Downloads"),
        ('XDG_DOWNLOAD_DIR="$HOME/Téléchargements"', "~/Téléchargements"),
        ('  XDG_DOWNLOAD_DIR="$HOME/my files/new"  ', "~/my files/new"),
        ('XDG_DOWNLOAD_DIR="/srv/files"', "/srv/files"),
        ('XDG_DOWNLOAD_DIR="$HOME/"', "~/Downloads"),
        ('XDG_DOWNLOAD_DIR="relative"', "~/Downloads"),
        ('XDG_DOWNLOAD_DIR="$HOME/$(rm -r x)"', "~/Downloads"),
        ('XDG_DOWNLOAD_DIR="$OTHER/x"', "~/Downloads"),
    ],
)
def test_the_folder(home: Path, line: str, folder: str) -> None:
    (home / ".config").mkdir()
    text = f'XDG_DESKTOP_DIR="$HOME/Desktop"\n{line}\n'
    (home / ".config" / "user-dirs.dirs").write_text(text, encoding="utf-8")
    assert default_downloads() == Path(folder.replace("~", str(home)))


def test_the_folder_of_settings_may_be_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "settings").mkdir()
    (home / "settings" / "user-dirs.dirs").write_text('XDG_DOWNLOAD_DIR="/srv/files"')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "settings"))
    assert default_downloads() == Path("/srv/files")
    monkeypatch.setenv("XDG_CONFIG_HOME", "settings")
    assert default_downloads() == home / "Downloads"


def test_settings_that_cannot_be_read(home: Path) -> None:
    (home / ".config").mkdir()
    (home / ".config" / "user-dirs.dirs").write_bytes(b'XDG_DOWNLOAD_DIR="/srv/\xff"')
    assert default_downloads() == home / "Downloads"


def test_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match="--downloads"):
        default_downloads()
