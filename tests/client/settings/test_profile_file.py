"""Changing ``profiles.toml``: what the user wrote there stays, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

import securechat
from securechat.client.relays import RelayAddress
from securechat.client.settings.profile_file import ProfileFile, store_ca
from securechat.client.settings.profiles import Network, Notifications, PasswordSource, Profiles
from securechat.errors import ConfigError, PkiError

ROOT = Path(securechat.__file__).parents[1]

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")

WRITTEN = """\
# mine
last = "home"  # always
mood = "good"

[networks.home]
host = "chat.example.org"   # at home
nick = "ann"
ca = "home-ca.pem"
peers = true
colour = "blue"
rooms = [
    "#home",  # all of us
]

[networks.home.notify]
"#home" = "mentions"  # they talk a lot

[notifications]
bell = true

[networks.work]
host = "work.example.org"
nick = "a.smith"
# the end
"""

FULL = Network(
    host="chat.example.org",
    port=7000,
    ca=Path("/somewhere/ca.pem"),
    nick="ann",
    account="anna",
    realname='Ann "the" \\ Ann',
    password=PasswordSource("command", run=("pass", "show")),
    certificate=Path("/somewhere/ann.pem"),
    key=Path("/somewhere/key.pem"),
    rooms=("#home", "#дом"),
    peers=False,
    autoconnect=False,
    notify={"#дом": "all"},
)

DOTTED = """\
[networks]
home.host = "h"
home.nick = "n"
home.password = { from = "prompt" }
"""

SCATTERED = """\
[networks.home.notify]
bob = "all"
[networks.home]
host = "h"
nick = "n"
[networks.home.password]
from = "prompt"
"""

# Adds networks, as many as it is told, once it is told to begin.
WRITER = """
import sys
from pathlib import Path
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Network
file = ProfileFile(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    file.save_network(f"{sys.argv[2]}{number}", Network("h", "n"))
"""


@pytest.fixture
def file(tmp_path: Path) -> ProfileFile:
    return ProfileFile(tmp_path / "profiles.toml")


@pytest.fixture
def written(file: ProfileFile) -> ProfileFile:
    file.path.write_text(WRITTEN, encoding="utf-8")
    return file


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def home(file: ProfileFile) -> Network:
    return file.load().networks["home"]


class TestANewFile:
    def test_a_network_comes_back_as_it_was_saved(self, file: ProfileFile) -> None:
        file.save_network("home", FULL)
        assert file.load() == Profiles(networks={"home": FULL})

    def test_only_what_is_not_as_usual_is_written(self, file: ProfileFile) -> None:
        file.save_network("home", Network("h", "n", password=PasswordSource("keyring")))
        assert file.path.read_text() == (
            '[networks.home]\nhost = "h"\nnick = "n"\npassword = {from = "keyring"}\n'
        )

    def test_everything_else(self, file: ProfileFile) -> None:
        file.save_network("home", Network("h", "n"))
        file.set_last("home")
        file.set_theme("dark")
        file.set_language("ru")
        file.set_notifications(Notifications(bell=False, desktop="osc99"))
        file.set_notify("home", "#home", "none")
        assert file.load() == Profiles(
            last="home",
            theme="dark",
            language="ru",
            notifications=Notifications(bell=False, desktop="osc99"),
            networks={"home": Network("h", "n", notify={"#home": "none"})},
        )

    @posix_only
    def test_it_is_for_the_owner_alone(self, tmp_path: Path) -> None:
        file = ProfileFile(tmp_path / "new" / "profiles.toml")
        file.set_theme("dark")
        assert mode_of(tmp_path / "new") == 0o700
        assert [mode_of(path) for path in (tmp_path / "new").iterdir()] == [0o600, 0o600]

    def test_nothing_to_say_makes_no_file(self, file: ProfileFile) -> None:
        file.set_theme("")
        file.remove_network("home")
        file.remove_network("")
        assert not file.path.exists()


def change(**values: Any) -> Callable[[ProfileFile], None]:
    def save(file: ProfileFile) -> None:
        file.save_network("home", dataclasses.replace(home(file), **values))

    return save


class TestWhatTheUserWrote:
    @pytest.mark.parametrize(
        ("do", "old", "new"),
        [
            (lambda file: file.set_last("work"), 'last = "home"', 'last = "work"'),
            (
                lambda file: file.set_theme("dark"),
                'mood = "good"\n',
                'mood = "good"\ntheme = "dark"\n',
            ),
            (
                lambda file: file.set_notifications(Notifications(bell=False)),
                "bell = true",
                "bell = false",
            ),
            (
                lambda file: file.set_notify("home", "#home", "all"),
                '"mentions"  # they',
                '"all"  # they',
            ),
            (
                lambda file: file.set_notify("home", "bob", "none"),
                "talk a lot\n",
                'talk a lot\nbob = "none"\n',
            ),
            (
                lambda file: file.set_notify("home", "#home", None),
                '[networks.home.notify]\n"#home" = "mentions"  # they talk a lot\n\n',
                "",
            ),
            (
                lambda file: file.set_learned(
                    "home", [RelayAddress("chat.example.org"), RelayAddress("::1", 7000)]
                ),
                "# all of us\n]\n",
                '# all of us\n]\nlearned = ["[::1]:7000"]\n',
            ),
            (change(host="h"), '"chat.example.org"   # at', '"h"   # at'),
            (change(peers=False), "peers = true", "peers = false"),
            (change(ca=None), 'ca = "home-ca.pem"\n', ""),
            (
                change(account="anna"),
                "# all of us\n]\n",
                '# all of us\n]\naccount = "anna"\n',
            ),
            (
                lambda file: file.remove_network("work"),
                WRITTEN[WRITTEN.index("[networks.work]") :],
                "",
            ),
        ],
    )
    def test_all_else_stays(
        self, written: ProfileFile, do: Callable[[ProfileFile], None], old: str, new: str
    ) -> None:
        do(written)
        assert WRITTEN.count(old) == 1
        assert written.path.read_text(encoding="utf-8") == WRITTEN.replace(old, new)

    @pytest.mark.parametrize(
        "do",
        [
            change(),
            lambda file: file.set_last("home"),
            lambda file: file.set_theme(""),
            lambda file: file.set_notifications(Notifications()),
            lambda file: file.set_notify("home", "#home", "mentions"),
            lambda file: file.set_notify("work", "#work", None),
            lambda file: file.set_learned("home", [RelayAddress("chat.example.org")]),
            lambda file: file.remove_network("gone"),
        ],
    )
    def test_what_is_so_already_is_not_written(
        self, written: ProfileFile, do: Callable[[ProfileFile], None]
    ) -> None:
        before = written.path.stat().st_ino
        do(written)
        assert written.path.stat().st_ino == before

    def test_a_table_stays_when_all_in_it_is_as_usual(self, file: ProfileFile) -> None:
        file.path.write_text('[notifications]\nbell = false\nlamp = "red"\n')
        file.set_notifications(Notifications())
        assert file.path.read_text() == '[notifications]\nlamp = "red"\n'

    def test_the_last_network_is_forgotten_with_it(self, written: ProfileFile) -> None:
        written.remove_network("home")
        profiles = written.load()
        assert (profiles.last, list(profiles.networks)) == ("", ["work"])
        assert "home" not in written.path.read_text().replace("work.", "")

    @pytest.mark.parametrize(
        "source",
        [
            None,
            PasswordSource("prompt"),
            PasswordSource("keyring"),
            PasswordSource("file", Path("/secret")),
            PasswordSource("command", run=("pass",)),
        ],
    )
    def test_another_source_of_the_password(
        self, file: ProfileFile, source: PasswordSource | None
    ) -> None:
        file.save_network("home", FULL)
        file.save_network("home", dataclasses.replace(FULL, password=source))
        assert home(file).password == source
        assert 'run = ["pass", "show"]' not in file.path.read_text()

    @pytest.mark.parametrize(
        "text",
        [
            'networks = { home = { host = "h", nick = "n" } }',
            '[networks]\nhome = { host = "h", nick = "n" }',
            '[networks.home.notify]\nbob = "all"\n[theme_of]\n[networks.home]\nhost="h"\nnick="n"',
            '[networks.home]\r\nhost = "h"\r\nnick = "n"\r\n',
        ],
    )
    def test_any_way_of_writing_tables(self, file: ProfileFile, text: str) -> None:
        file.path.write_bytes(text.encode())
        file.save_network("home", FULL)
        file.save_network("work", Network("w", "n", notify={"#w": "all"}))
        file.set_notify("home", "#дом", "none")
        file.set_last("work")
        file.set_notifications(Notifications(bell=False))
        expected = dataclasses.replace(FULL, notify={"#дом": "none"})
        assert file.load() == Profiles(
            last="work",
            notifications=Notifications(bell=False),
            networks={"home": expected, "work": Network("w", "n", notify={"#w": "all"})},
        )

    @pytest.mark.parametrize(
        ("text", "network"),
        [(DOTTED, FULL), (SCATTERED, dataclasses.replace(FULL, password=None, notify={}))],
        ids=["dotted", "scattered"],
    )
    def test_a_way_that_the_package_gets_wrong(
        self, file: ProfileFile, text: str, network: Network
    ) -> None:
        file.path.write_text(text)
        with pytest.raises(ConfigError, match=r"each table in one place, .* \[networks.home\]"):
            file.save_network("home", network)
        assert file.path.read_text() == text
        file.set_theme("dark")
        assert file.path.read_text().endswith(text)
        assert file.load().theme == "dark"

    @posix_only
    def test_a_link_stays_a_link(self, file: ProfileFile, tmp_path: Path) -> None:
        (tmp_path / "dotfiles").mkdir()
        (tmp_path / "dotfiles" / "chat.toml").write_text("# mine\n")
        file.path.symlink_to(tmp_path / "dotfiles" / "chat.toml")
        file.save_network("home", Network("h", "n", ca=Path("ca.pem")))
        assert file.path.is_symlink()
        assert (tmp_path / "dotfiles" / "chat.toml").read_text().startswith("# mine\n")
        assert home(file).ca == tmp_path / "ca.pem"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("do", "problem"),
        [
            (lambda file: file.set_last("gone"), "there is no network gone"),
            (lambda file: file.set_notify("gone", "#a", "all"), "there is no network gone"),
            (lambda file: file.save_network("a b", Network("h", "n")), "not a name for a network"),
            (lambda file: file.save_network("new", Network("", "n")), "networks.new.host: "),
            (change(port=0), "networks.home.port: must be from 1 to 65535"),
            (change(notify={"bob": "loud"}), "networks.home.notify.bob: must be one of"),
            (lambda file: file.set_theme("a\nb"), "theme: must be a text of one line"),
        ],
    )
    def test_what_could_not_be_read_again(
        self, written: ProfileFile, do: Callable[[ProfileFile], None], problem: str
    ) -> None:
        with pytest.raises(ConfigError, match=problem):
            do(written)
        assert written.path.read_text(encoding="utf-8") == WRITTEN

    def test_a_file_with_mistakes_is_left_alone(self, file: ProfileFile) -> None:
        file.path.write_text("theme = 1")
        with pytest.raises(ConfigError, match="theme: must be"):
            file.set_theme("dark")
        assert file.path.read_text() == "theme = 1"

    def test_a_disk_that_is_full(
        self, written: ProfileFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match=r"cannot be written \(No space left"):
            written.set_theme("dark")
        assert written.path.read_text(encoding="utf-8") == WRITTEN
        assert not list(written.path.parent.glob(".new-*"))

    def test_a_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="cannot be written"):
            ProfileFile(tmp_path / "file" / "profiles.toml").set_theme("dark")


def test_programs_at_once_do_not_undo_each_other(file: ProfileFile) -> None:
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, str(file.path), letter, "20"],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for letter in "ab"
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"\n")
            child.stdin.flush()
    assert [child.returncode for child in children] == [0, 0]
    assert set(file.load().networks) == {f"{letter}{n}" for letter in "ab" for n in range(20)}


class TestTheCa:
    def test_its_certificates_alone_are_kept(self, tmp_path: Path) -> None:
        ca = trustme.CA()
        leaf = ca.issue_cert("chat.example.org")
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems) + ca.cert_pem.bytes()
        path = store_ca(tmp_path / "new", "дом", b"of Ann\n" + leaf.private_key_pem.bytes() + chain)
        assert path == tmp_path / "new" / "дом-ca.pem"
        assert x509.load_pem_x509_certificates(path.read_bytes()) == (
            x509.load_pem_x509_certificates(chain)
        )
        assert b"PRIVATE" not in path.read_bytes()

    def test_that_of_another_network_stays(self, tmp_path: Path) -> None:
        """The profile that goes by it may be called something else by now."""
        pems = [trustme.CA().cert_pem.bytes() for _ in range(3)]
        names = ["home-ca.pem", "home-ca-2.pem", "home-ca-3.pem"]
        for _turn in range(2):  # what is there already is not kept twice
            for pem, name in zip(pems, names, strict=True):
                assert store_ca(tmp_path, "home", pem) == tmp_path / name
                assert (tmp_path / name).read_bytes() == pem
        assert sorted(os.listdir(tmp_path)) == sorted(names)

    @pytest.mark.parametrize("pem", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
    def test_what_is_none(self, tmp_path: Path, pem: bytes) -> None:
        with pytest.raises(PkiError, match="not a certificate in PEM"):
            store_ca(tmp_path, "home", pem)

    def test_a_name_that_leads_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be called that"):
            store_ca(tmp_path, "../home", trustme.CA().cert_pem.bytes())

    def test_a_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="cannot be written"):
            store_ca(tmp_path / "file", "home", trustme.CA().cert_pem.bytes())


def test_what_was_learned_is_replaced_and_forgotten(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "profiles.toml")
    file.save_network("home", Network("a", "n", relays=(RelayAddress("b", 6700),)))
    before = file.path.read_bytes()
    first, second = RelayAddress("c"), RelayAddress("d", 1)
    file.set_learned("home", [RelayAddress("b", 6700), first, second])
    assert file.load().networks["home"].learned == (first, second)
    file.set_learned("home", [second])
    assert file.load().networks["home"].learned == (second,)
    file.set_learned("home", [])
    assert file.path.read_bytes() == before
    with pytest.raises(ConfigError, match="there is no network work"):
        file.set_learned("work", [first])
