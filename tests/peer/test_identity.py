"""A device stays what it is: across starts, crashes, and processes that start at once."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import securechat
from securechat import pki
from securechat.errors import PkiError
from securechat.irc.peering import fingerprint_of
from securechat.peer.identity import default_folder, load_device

ROOT = Path(securechat.__file__).parents[1]

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")

# Says that it is ready, and loads the device when it is told to.
STARTER = """
import sys
from pathlib import Path
from securechat.peer.identity import load_device
print("ready", flush=True)
sys.stdin.readline()
print(load_device(Path(sys.argv[1])).fingerprint)
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFirstUse:
    def test_what_is_made_is_loaded_again(self, tmp_path: Path) -> None:
        device = load_device(tmp_path / "new" / "folder")
        assert device.files == pki.device_files(tmp_path / "new" / "folder")
        assert device.fingerprint == fingerprint_of(device.certificate)
        pem = device.files.certificate.read_text()
        assert ssl.PEM_cert_to_DER_cert(pem) == device.certificate
        assert load_device(tmp_path / "new" / "folder") == device

    def test_each_folder_is_a_device(self, tmp_path: Path) -> None:
        assert load_device(tmp_path / "a").fingerprint != load_device(tmp_path / "b").fingerprint

    @posix_only
    def test_the_folder_and_the_key_are_for_the_owner_alone(self, tmp_path: Path) -> None:
        device = load_device(tmp_path / "folder")
        assert mode_of(tmp_path / "folder") == 0o700
        assert mode_of(device.files.key) == 0o600
        assert sorted(os.listdir(tmp_path / "folder")) == ["device-key.pem", "device.pem"]

    @posix_only
    def test_a_folder_that_exists_keeps_its_mode(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder").chmod(0o750)
        load_device(tmp_path / "folder")
        assert mode_of(tmp_path / "folder") == 0o750

    def test_a_file_in_the_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "folder").write_text("no folder")
        with pytest.raises(PkiError, match="cannot make the folder"):
            load_device(tmp_path / "folder")

    def test_a_folder_in_which_nothing_can_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Faked: the tests may run as root, whom no mode keeps out.
        def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PkiError, match="Permission denied") as caught:
            load_device(tmp_path)
        assert "copy" not in str(caught.value)  # there is nothing to put back


class TestSeveralAtOnce:
    def test_processes_that_start_at_once_are_one_device(self, tmp_path: Path) -> None:
        for attempt in range(3):
            folder = tmp_path / str(attempt)
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", STARTER, str(folder)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(2)
            ]
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            found = {child.communicate()[0].strip() for child in children}
            assert [child.returncode for child in children] == [0, 0]
            assert found == {load_device(folder).fingerprint}

    @pytest.mark.parametrize("faster_with", [["device-key.pem"], ["device.pem"], "both in turn"])
    def test_another_process_is_faster(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster_with: list[str] | str
    ) -> None:
        """Whatever is in place first stays, and what comes second fits it."""
        files = pki.device_files(tmp_path)
        other = pki.make_device()
        names = ["device-key.pem", "device.pem"] if faster_with == "both in turn" else faster_with
        real_link = os.link

        def late(source: Path, target: Path) -> None:
            if target.name in names and not target.exists():
                if target == files.key:
                    target.write_bytes(other.key_pem)
                    target.chmod(0o600)
                else:
                    key = pki.left_key(files)
                    target.write_bytes(pki.make_device(key=key).certificate_pem)
            real_link(source, target)

        monkeypatch.setattr(os, "link", late)
        device = load_device(tmp_path)
        pair = pki.load_pair(files)
        assert (pair.key_pem == other.key_pem) == ("device-key.pem" in names)
        assert device == load_device(tmp_path)


class TestBroken:
    """Nothing is replaced; the text says what the user can do."""

    def test_a_crash_between_key_and_certificate_is_mended(self, tmp_path: Path) -> None:
        device = load_device(tmp_path)
        key = device.files.key.read_bytes()
        device.files.certificate.unlink()
        mended = load_device(tmp_path)
        assert device.files.key.read_bytes() == key
        assert mended.fingerprint != device.fingerprint
        assert load_device(tmp_path) == mended

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            ("device.pem", b"broken", "device.pem does not hold a certificate"),
            ("device-key.pem", b"broken", "device-key.pem does not hold a private key"),
            ("device-key.pem", pki.make_device().key_pem, "device-key.pem is not the key of"),
            ("device-key.pem", None, "device-key.pem does not exist"),
        ],
    )
    def test_files_that_cannot_be_used(
        self, tmp_path: Path, name: str, content: bytes | None, problem: str
    ) -> None:
        load_device(tmp_path)
        if content is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(content)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(PkiError, match=problem) as caught:
            load_device(tmp_path)
        assert "put both files back from a copy, or remove both" in str(caught.value)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_broken_key_without_a_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "device-key.pem").write_text("broken")
        with pytest.raises(PkiError, match=r"not hold a private key in PEM\); put both files back"):
            load_device(tmp_path)
        assert os.listdir(tmp_path) == ["device-key.pem"]

    def test_a_link_that_leads_nowhere_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "device.pem").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(PkiError, match=r"device.pem does not exist"):
            load_device(tmp_path)
        assert os.listdir(tmp_path) == ["device.pem"]

    @posix_only
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
    def test_a_key_that_others_may_have_is_refused(self, tmp_path: Path, mode: int) -> None:
        device = load_device(tmp_path)
        device.files.key.chmod(mode)
        with pytest.raises(PkiError, match="open to other users"):
            load_device(tmp_path)
        assert mode_of(device.files.key) == mode
        device.files.key.chmod(0o400)
        assert load_device(tmp_path) == device


class TestDefaultFolder:
    @pytest.fixture(autouse=True)
    def _home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
        for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        ("platform", "environment", "folder"),
        [
            ("linux", {}, "/home/ann/.local/share/securechat"),
            ("linux", {"XDG_DATA_HOME": "/data"}, "/data/securechat"),
            ("linux", {"XDG_DATA_HOME": ""}, "/home/ann/.local/share/securechat"),
            ("linux", {"XDG_DATA_HOME": "data"}, "/home/ann/.local/share/securechat"),
            ("freebsd14", {"XDG_DATA_HOME": "/data"}, "/data/securechat"),
            ("darwin", {}, "/home/ann/Library/Application Support/securechat"),
            ("win32", {"LOCALAPPDATA": "/local"}, "/local/securechat"),
            ("win32", {}, "/home/ann/AppData/Local/securechat"),
        ],
    )
    def test_by_platform(
        self,
        monkeypatch: pytest.MonkeyPatch,
        platform: str,
        environment: dict[str, str],
        folder: str,
    ) -> None:
        monkeypatch.setattr(sys, "platform", platform)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert default_folder() == Path(folder)

    def test_a_user_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
        with pytest.raises(PkiError, match="no home folder"):
            default_folder()
