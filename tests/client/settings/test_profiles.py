"""What ``profiles.toml`` may say, and how its mistakes are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from securechat.client.relays import RelayAddress
from securechat.client.settings.profiles import (
    Network,
    Notifications,
    PasswordSource,
    Profiles,
    default_profiles,
    is_network_name,
    load_profiles,
)
from securechat.errors import ConfigError

FULL = """
last = "home"
language = "ru"
theme = "dark"
unknown = 1

[notifications]
bell = false
desktop = "osc99"

[networks.home]
host = "chat.example.org"
port = 7000
relays = ["B.example.org", "[::1]:7001"]
srv = "example.org"
learned = ["c.example.org:6697"]
ca = "home-ca.pem"
nick = "ann"
account = "anna"
realname = "Ann from next door"
password = { from = "command", run = ["pass", "show", "chat"] }
certificate = "/etc/ann.pem"
key = "~/ann-key.pem"
rooms = ["#home", "&local"]
peers = false
autoconnect = false
unknown = { more = true }

[networks.home.notify]
"#home" = "mentions"
bob = "none"

[networks."дом.2"]
host = "::1"
nick = "аня"
"""

NO_HOST = "'a_b' is not a host name: letters, digits and hyphens between dots"
NO_NAME = "not a name for a network: up to 40 letters, digits, - _ and ., a letter or a digit first"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "profiles.toml"


def load(path: Path, text: str) -> Profiles:
    path.write_text(text, encoding="utf-8")
    return load_profiles(path)


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    begin = f"{path}: "
    assert all(problem.startswith(begin) for problem in caught.value.problems)
    return [problem.removeprefix(begin) for problem in caught.value.problems]


def home(line: str) -> str:
    return f'networks.home.host = "h"\nnetworks.home.nick = "n"\nnetworks.home.{line}\n'


def test_all_there_is(path: Path) -> None:
    folder = path.parent
    assert load(path, FULL) == Profiles(
        last="home",
        language="ru",
        theme="dark",
        notifications=Notifications(bell=False, desktop="osc99"),
        networks={
            "home": Network(
                host="chat.example.org",
                port=7000,
                relays=(RelayAddress("b.example.org"), RelayAddress("::1", 7001)),
                srv="example.org",
                learned=(RelayAddress("c.example.org"),),
                ca=folder / "home-ca.pem",
                nick="ann",
                account="anna",
                realname="Ann from next door",
                password=PasswordSource("command", run=("pass", "show", "chat")),
                certificate=Path("/etc/ann.pem"),
                key=folder / "home" / "ann-key.pem",
                rooms=("#home", "&local"),
                peers=False,
                autoconnect=False,
                notify={"#home": "mentions", "bob": "none"},
            ),
            "дом.2": Network(host="::1", nick="аня"),
        },
    )


def test_what_is_not_said_is_as_usual(path: Path) -> None:
    network = load(path, '[networks.home]\nhost = "h"\nnick = "n"').networks["home"]
    assert (network.port, network.ca, network.password) == (6697, None, None)
    assert (network.peers, network.autoconnect, network.rooms) == (True, True, ())


def test_no_file_says_nothing(path: Path) -> None:
    assert load_profiles(path) == Profiles()
    assert load_profiles(path.parent / "no folder" / "profiles.toml") == Profiles()


def test_an_empty_file_says_nothing(path: Path) -> None:
    assert load(path, "") == Profiles()


def test_a_file_from_an_editor_of_windows(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbftheme = "dark"\r\nlanguage = "ru"\r\n')
    assert load_profiles(path) == Profiles(theme="dark", language="ru")


def test_a_network_that_is_gone_is_not_the_last(path: Path) -> None:
    assert load(path, 'last = "gone"\n' + home("port = 1")).last == ""


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ('password = { from = "prompt" }', PasswordSource("prompt")),
        ('password = { from = "keyring" }', PasswordSource("keyring")),
        ('password = { from = "file", path = "/secret" }', PasswordSource("file", Path("/secret"))),
        (
            'password = { from = "command", run = ["x", ""] }',
            PasswordSource("command", None, ("x", "")),
        ),
    ],
)
def test_where_a_password_is(path: Path, line: str, source: PasswordSource) -> None:
    assert load(path, home(line)).networks["home"].password == source


def test_the_file_of_a_password_is_relative_too(path: Path) -> None:
    source = load(path, home('password = { from = "file", path = "p" }')).networks["home"].password
    assert source == PasswordSource("file", path.parent / "p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("theme = 1", "theme: must be a text of one line"),
        ('theme = "a\\nb"', "theme: must be a text of one line"),
        ("notifications = 1", "notifications: must be a table"),
        ("notifications.bell = 1", "notifications.bell: must be true or false"),
        (
            'notifications.desktop = "on"',
            'notifications.desktop: must be one of "osc777", "osc99", "off"',
        ),
        ("networks = []", "networks: must be a table"),
        ("[[networks.home]]", "networks.home: must be a table"),
        (home("port = 0"), "networks.home.port: must be from 1 to 65535"),
        (home("port = 65536"), "networks.home.port: must be from 1 to 65535"),
        (home("port = true"), "networks.home.port: must be from 1 to 65535"),
        (home('port = "6697"'), "networks.home.port: must be from 1 to 65535"),
        (home('ca = ""'), "networks.home.ca: must be the path of a file"),
        (home('ca = "a\\u0000"'), "networks.home.ca: must be the path of a file"),
        (
            home('ca = "~nobody-of-that-name/ca.pem"'),
            "networks.home.ca: must be the path of a file: there is no such user",
        ),
        (home('account = "two words"'), "networks.home.account: must be one word"),
        (home('realname = "a\\u001bb"'), "networks.home.realname: must be a text of one line"),
        (home('key = "k"'), "networks.home.certificate: is missing"),
        (home('peers = "yes"'), "networks.home.peers: must be true or false"),
        (home("notify = 1"), "networks.home.notify: must be a table"),
        (
            home('notify."#a b" = "loud"'),
            'networks.home.notify."#a b": must be one of "all", "mentions", "none"',
        ),
        (home("password = {}"), "networks.home.password.from: is missing"),
        (
            home('password = { from = "mind" }'),
            'networks.home.password.from: must be one of "prompt", "file", "command", "keyring"',
        ),
        (
            home("password = { from = [] }"),
            'networks.home.password.from: must be one of "prompt", "file", "command", "keyring"',
        ),
        (home('password = { from = "file" }'), "networks.home.password.path: is missing"),
        (home('password = { from = "command" }'), "networks.home.password.run: is missing"),
        *(
            (
                home(f'password = {{ from = "command", run = {run} }}'),
                "networks.home.password.run: must be a list of a program and its arguments",
            )
            for run in ('"pass show"', "[]", '[""]', '["pass", 1]', '["pass", "\\u0000"]')
        ),
        *(
            (
                home(f"rooms = {rooms}"),
                'networks.home.rooms: must be a list of rooms such as ["#home"]',
            )
            for rooms in (
                '"#home"',
                '["home"]',
                '["#a,#b"]',
                '["#a b"]',
                '["#a\\n"]',
                "[1]",
                '[""]',
            )
        ),
        (
            '[networks.home]\nhost = "a_b"\nnick = "n"',
            f"networks.home.host: {NO_HOST}",
        ),
        (
            '[networks.home]\nhost = 1\nnick = "n"',
            "networks.home.host: must be a host name or an IP address",
        ),
        ('[networks.home]\nhost = "h"', "networks.home.nick: is missing"),
        ('[networks.home]\nhost = "h"\nnick = ""', "networks.home.nick: must be one word"),
        (
            '[networks."a\\u001b b"]\nhost = "h"\nnick = "n"',
            f'networks."a\\u001b b": {NO_NAME}',
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(path: Path, text: str, expected: str) -> None:
    assert problems(path, text) == [expected]


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    text = """
        theme = 1
        [networks.home]
        port = 0
        password = { from = "file" }
        notify = { bob = 1, ann = 2 }
        [networks.-x]
        host = "h"
    """
    assert [problem.partition(": ")[0] for problem in problems(path, text)] == [
        "theme",
        "networks.-x",
        "networks.home.host",
        "networks.home.nick",
        "networks.home.port",
        "networks.home.password.path",
        "networks.home.notify.bob",
        "networks.home.notify.ann",
        "networks.-x.nick",
    ]


@pytest.mark.parametrize("value", ['"hunter2"', '["hunter2"]', "'''hunter2'''"])
def test_a_password_in_the_file_is_refused_and_not_shown(path: Path, value: str) -> None:
    [problem] = problems(path, home(f"password = {value}"))
    assert problem == (
        "networks.home.password: a password does not belong in this file; write where it is, "
        'such as { from = "keyring" }'
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\ntheme = no", "not TOML: .*line 2"),
        (b"theme = '\xff'", "not in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(path: Path, content: bytes | None, problem: str) -> None:
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        load_profiles(path)


@pytest.mark.parametrize("name", ["home", "A", "7", "my-net_2.example", "дом", "a" * 40])
def test_names_of_networks(name: str) -> None:
    assert is_network_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", "a b", "a/b", "a\n", "a" * 41, "a\\b"])
def test_what_is_no_name_of_a_network(name: str) -> None:
    assert not is_network_name(name)


class TestWhereItIs:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("XDG_CONFIG_HOME", "APPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", "/home/ann")

    @pytest.mark.parametrize(
        ("platform", "environment", "expected"),
        [
            ("linux", {}, "/home/ann/.config"),
            ("linux", {"XDG_CONFIG_HOME": "/settings"}, "/settings"),
            ("linux", {"XDG_CONFIG_HOME": "settings"}, "/home/ann/.config"),
            ("darwin", {"XDG_CONFIG_HOME": "/settings"}, "/home/ann/Library/Application Support"),
            ("win32", {"APPDATA": "/roaming"}, "/roaming"),
            ("win32", {}, "/home/ann/AppData/Roaming"),
        ],
    )
    def test_the_folder(
        self,
        monkeypatch: pytest.MonkeyPatch,
        platform: str,
        environment: dict[str, str],
        expected: str,
    ) -> None:
        monkeypatch.setattr(sys, "platform", platform)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert default_profiles() == Path(expected, "securechat", "profiles.toml")

    def test_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", no_home)
        with pytest.raises(ConfigError, match="no home folder"):
            default_profiles()


def test_who_logs_in_and_where() -> None:
    network = Network("::1", "ann", port=7)
    assert (network.relay, network.login) == ("[::1]:7", "ann")
    assert Network("::1", "ann", account="anna").login == "anna"


def test_the_relays_of_a_domain_need_no_host_but_a_ca(path: Path) -> None:
    text = '[networks.home]\nnick = "n"\nsrv = "Example.org"\n'
    assert problems(path, text) == ["networks.home.ca: is missing"]
    network = load(path, f'{text}ca = "ca.pem"\n').networks["home"]
    assert (network.host, network.srv, network.server) == ("", "example.org", "example.org")
    assert (network.relay, network.given) == ("example.org", ())


@pytest.mark.parametrize("key", ["relays", "learned"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('"a"', 'must be a list of relays such as ["b.example.org:6700"]'),
        ("[1]", 'must be a list of relays such as ["b.example.org:6700"]'),
        ('["a:0"]', "the port must be a number from 1 to 65535"),
        ('["a", "a_b"]', NO_HOST),
    ],
)
def test_what_is_no_list_of_relays(path: Path, key: str, value: str, problem: str) -> None:
    assert problems(path, home(f"{key} = {value}")) == [f"networks.home.{key}: {problem}"]


def test_all_relays_of_a_network() -> None:
    network = Network(
        "a", "n", relays=(RelayAddress("b", 1),), learned=(RelayAddress("c"), RelayAddress("a"))
    )
    assert network.given == (RelayAddress("a"), RelayAddress("b", 1))
    assert network.places == {"a:6697", "b:1", "c:6697"}
    assert network.relay == "a:6697"
