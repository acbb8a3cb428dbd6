"""The configuration: one file, checked whole, every mistake named."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import ConfigError
from securechat.server.config import (
    AccountsConfig,
    Config,
    GatewayConfig,
    LimitsConfig,
    OperatorConfig,
    ServerConfig,
)
from securechat.server.config_file import load_config, print_default_config
from securechat.server.toml_text import toml_text
from securechat.store.passwords import Argon2Parameters, hash_password

PASSWORD_HASH = hash_password("correct horse", Argon2Parameters(8, 1, 1))

SECTIONS = {field.name: type(field.default) for field in dataclasses.fields(Config)[:-2]}

NO_STRING = ("1", "true", "[]", "{}", "1979-05-27")
NO_WHOLE_NUMBER = ('"1"', "true", "1.5", "[1]", "nan", "inf", "-1")
NO_NUMBER = ('"1"', "false", "[1]", "nan", "inf", "-1")
NO_FLAG = ("0", "1", '"true"', '""', "[]")
NO_PATH = (*NO_STRING, '""', r'"a\u0000b"', '"~no-such-user-here/x"')

NO_NAMES = (
    *('"chat.example.org"', "1", "[1]", '[""]', '["Chat.example.org"]', '["a b"]', '["é.org"]'),
    *('["localhost"]', '["relay.localhost"]', '["192.0.2.7"]', '["::1"]', '["a..b"]'),
)

# Every setting, with values (as TOML) that it must refuse.
BAD: dict[str, dict[str, tuple[str, ...]]] = {
    "server": {
        "name": (*NO_STRING, '""', '"relay"', '"re lay.net"', '"é.net"', f'"{"a" * 60}.net"'),
        "network": (*NO_STRING, '""', '"a b"', r'"a\tb"', f'"{"a" * 41}"'),
        "casemapping": (*NO_STRING, '""', '"rfc1459"', '"ASCII"'),
        "motd": (*NO_STRING, r'"a\u0000b"', f'"{"a" * 8193}"'),
        "description": (*NO_STRING, '""', r'"a\tb"', f'"{"a" * 101}"'),
        "admin": (*NO_STRING, r'"a\tb"', r'"a\nb\nc\nd"', f'"{"a" * 101}"'),
        "icon_url": (
            *(*NO_STRING, '"http://a.org/i.png"', '"https://a.org/i i"', '"https://é.org/"'),
            f'"https://{"a" * 200}"',
        ),
        "listen": (
            *('"localhost:6697"', "[]", "1", "{}", "[1]", '["localhost:6697", 6697]'),
            *('[""]', '["localhost"]', '[":6697"]', '["localhost:"]', '["localhost:no"]'),
            *('["localhost:65536"]', '["localhost:-1"]', '["localhost:²"]', '["::1:6697"]'),
            *(r'["local\u0000host:1"]', '["local host:1"]', '["[]:1"]'),
        ),
        "password_hash": (),  # not shown, see below
        "io_threads": (*NO_WHOLE_NUMBER, "0", "65"),
    },
    "tls": {
        "certificate": NO_PATH,
        "key": NO_PATH,
        "client_ca": tuple(value for value in NO_PATH if value != '""'),
        "sts_names": (*NO_NAMES,),
        "sts_duration_s": (*NO_WHOLE_NUMBER, "315360001"),
        "sts_preload": (*NO_NAMES,),
        "minimum_version": (*NO_STRING, '""', "1.3", '"1.1"', '"1.4"', '"TLSv1.3"'),
    },
    "websocket": {
        "listen": ('"localhost:6698"', "1", "{}", "[1]", '["localhost"]'),
        "origins": (
            *('"*"', "1", "[1]", '["chat.example.org"]', '["https://"]', '["://a"]'),
            *('["https://a/"]', '["https://a/b"]', '["https://u@a"]', '["https://é"]'),
        ),
    },
    "accounts": {
        "registration": (*NO_STRING, '""', '"Open"', '"free"'),
        "required": NO_FLAG,
        "before_connect": NO_FLAG,
        "always_on": (*NO_STRING, '""', '"on"'),
        "always_on_days": (*NO_WHOLE_NUMBER, "36501"),
        "argon2_memory_kib": (*NO_WHOLE_NUMBER, "8191", "4194305"),
        "argon2_iterations": (*NO_WHOLE_NUMBER, "0", "65"),
        "password_length": (*NO_WHOLE_NUMBER, "0", "65"),
        "login_attempts": (*NO_WHOLE_NUMBER, "0", "1001"),
        "failures_per_minute": (*NO_WHOLE_NUMBER, "100001"),
    },
    "store": {
        "path": NO_PATH,
        "url": (
            *("1", "[]", '"db.example.org"', '"postgresql://u@/db"', '"postgresql://h:p/db"'),
            *('"postgresql://db.example.org/db"', '"postgresql://h/db?sslmode=require"'),
            *('"postgresql:///db?service=x&host=localhost"', r'"postgresql://localhost/a\u0000"'),
        ),
        "password_file": tuple(value for value in NO_PATH if value != '""'),
    },
    "history": {
        "enabled": NO_FLAG,
        "before_joining": NO_FLAG,
        "page": (*NO_WHOLE_NUMBER, "0", "1001"),
        "days": (*NO_WHOLE_NUMBER, "100001"),
        "messages_per_room": (*NO_WHOLE_NUMBER, "1000000001"),
        "replay_lines": (*NO_WHOLE_NUMBER, "1001"),
        "redact_seconds": (*NO_WHOLE_NUMBER, "1000000001"),
    },
    "peers": {
        "enabled": NO_FLAG,
        "tunnels_per_account": (*NO_WHOLE_NUMBER, "0", "1001"),
        "tunnel_bytes_per_s": (*NO_WHOLE_NUMBER, "1000000000001"),
        "tunnel_idle_s": (*NO_NUMBER, "14.9", "3601"),
    },
    "limits": {
        "connections": (*NO_WHOLE_NUMBER, "0", "1000001"),
        "connections_per_address": (*NO_WHOLE_NUMBER, "1000001"),
        "handshake_timeout_s": (*NO_NUMBER, "0", "601"),
        "registration_timeout_s": (*NO_NUMBER, "4.9", "3601"),
        "ping_interval_s": (*NO_NUMBER, "4.9", "3601"),
        "ping_timeout_s": (*NO_NUMBER, "4.9", "3601"),
        "sendq_bytes": (*NO_WHOLE_NUMBER, "65535", "1073741825"),
        "input_queue_bytes": (*NO_WHOLE_NUMBER, "4607", "16777217"),
        "commands_per_s": (*NO_NUMBER, "1000001"),
        "command_burst": (*NO_WHOLE_NUMBER, "0", "1000001"),
        "denied_client_tags": ("1", "false", '"+typing"', '"a,*"', '"-a"', '"a,,b"', '"a b"'),
        "batch_timeout_s": (*NO_NUMBER, "0.9", "600.1"),
        "multiline_bytes": (*NO_WHOLE_NUMBER, "511", "65537"),
        "multiline_lines": (*NO_WHOLE_NUMBER, "1", "1001"),
        "channels_per_user": (*NO_WHOLE_NUMBER, "0", "100001"),
        "whowas_entries": (*NO_WHOLE_NUMBER, "-1", "100001"),
        "list_entries": (*NO_WHOLE_NUMBER, "0", "10001"),
        "rooms_per_account": (*NO_WHOLE_NUMBER, "0", "100001"),
        "metadata_keys": (*NO_WHOLE_NUMBER, "0", "1001"),
        "metadata_subscriptions": (*NO_WHOLE_NUMBER, "0", "1001"),
        "metadata_value_bytes": (*NO_WHOLE_NUMBER, "15", "281"),
        "monitored_nicks": (*NO_WHOLE_NUMBER, "0", "10001"),
        "targets": (*NO_WHOLE_NUMBER, "0", "101"),
        "modes": (*NO_WHOLE_NUMBER, "0", "101"),
        "nick_length": (*NO_WHOLE_NUMBER, "4", "65"),
        "user_length": (*NO_WHOLE_NUMBER, "4", "65"),
        "channel_length": (*NO_WHOLE_NUMBER, "7", "129"),
        "topic_length": (*NO_WHOLE_NUMBER, "49", "401"),
        "away_length": (*NO_WHOLE_NUMBER, "19", "401"),
        "kick_length": (*NO_WHOLE_NUMBER, "19", "301"),
        "realname_length": (*NO_WHOLE_NUMBER, "19", "201"),
    },
    "metrics": {
        "listen": ('"127.0.0.1:9697"', "[9697]", '["127.0.0.1"]', '["a b:1"]', '["h:65536"]'),
    },
    "cluster": {
        "nats": (
            *('"tls://nats.example.org:4222"', "[1]", '["nats.example.org"]', '["tls://"]'),
            *('["nats://nats.example.org:4222"]', '["tls://me:secret@nats.example.org"]'),
            *('["tls://nats.example.org/chat"]', '["tls://nats.example.org:99999"]'),
        ),
        "relay": (*NO_STRING, '"a.b"', '"-a"', '"a b"', f'"{64 * "a"}"'),
        "address": (*NO_STRING, '"chat.example.org"', '"chat.example.org:0"', '"a,b:1"'),
        "ca": tuple(value for value in NO_PATH if value != '""'),
        "user": (*NO_STRING, r'"a\nb"'),
        "password_file": tuple(value for value in NO_PATH if value != '""'),
        "credentials": tuple(value for value in NO_PATH if value != '""'),
        "stream": (*NO_STRING, '""', '"a.b"', '"*"'),
        "replicas": (*NO_WHOLE_NUMBER, "0", "6"),
        "stream_mib": (*NO_WHOLE_NUMBER, "15", "1048577"),
        "lease_s": (*NO_WHOLE_NUMBER, "2", "601"),
    },
    "log": {
        "format": (*NO_STRING, '""', '"xml"', '"JSON"'),
        "level": (*NO_STRING, '""', '"INFO"', '"trace"'),
    },
}

CASES = [
    (section, key, value)
    for section, settings in BAD.items()
    for key, values in settings.items()
    for value in values
]


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "relay.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    for problem in caught.value.problems:
        assert problem.isprintable(), "one line each, fit for a terminal"
    if path is None:
        return list(caught.value.problems)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


# ---- defaults ----


def test_without_a_file_all_is_default():
    assert load_config(None) == Config()


def test_an_empty_file_and_empty_sections_are_the_default(write):
    assert load_config(write("")) == Config()
    assert load_config(write("[server]\n[tls]\n[accounts]\n[store]\n[limits]\n")) == Config()


def test_the_printed_default_file_is_the_default(write):
    assert load_config(write(print_default_config())) == Config()


def test_the_printed_default_file_explains_every_setting():
    lines = print_default_config().splitlines()
    for section, settings in BAD.items():
        at = lines.index(f"[{section}]")
        end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("[")), len(lines))
        for key in settings:
            (place,) = [n for n in range(at, end) if lines[n].startswith(f"{key} = ")]
            assert lines[place - 1].startswith("# ")
    for key in ("[[operators]]", "[[webirc]]", "name = ", "password_hash = ", "fingerprint = "):
        assert any(line.startswith(f"# {key}") for line in lines)


def test_every_default_passes_its_own_check():
    """A default is not checked when it is used, so it must be one that a file may hold."""
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            written = toml_text(field.default)
            value = tomllib.loads(f"x = {written}")["x"]
            assert field.metadata["check"](value) == field.default, (section, field.name)


def test_the_cases_name_every_setting():
    """A setting added without a test of what it refuses is noticed here."""
    named = {section: set(settings) for section, settings in BAD.items()}
    assert named == {
        section: {field.name for field in dataclasses.fields(kind)}
        for section, kind in SECTIONS.items()
    }


# ---- values ----


def test_a_file_overrides_the_defaults(write):
    config = load_config(
        write(
            """
            [server]
            network = "People"
            motd = '''
            Hello.
            Be kind.'''
            listen = ["0.0.0.0:6697", "[::]:6697", "chat.example:0"]
            [tls]
            client_ca = "certs/ca.pem"
            minimum_version = "1.2"
            [accounts]
            registration = "invite"
            required = true
            [limits]
            commands_per_s = 0
            handshake_timeout_s = 3
            """
        )
    )
    assert config.server.network == "People"
    assert config.server.motd.splitlines()[-1].strip() == "Be kind."
    assert config.server.listen == (("0.0.0.0", 6697), ("::", 6697), ("chat.example", 0))
    assert config.server.name == ServerConfig().name
    assert config.tls.client_ca == Path("certs/ca.pem")
    assert config.tls.minimum_version == "1.2"
    assert config.accounts == dataclasses.replace(
        AccountsConfig(), registration="invite", required=True
    )
    assert config.limits == dataclasses.replace(
        LimitsConfig(), commands_per_s=0.0, handshake_timeout_s=3.0
    )
    assert isinstance(config.limits.handshake_timeout_s, float)


def test_the_home_folder_may_be_short(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    config = load_config(write('[store]\npath = "~/chat.db"'))
    assert config.store.path == Path("/home/alice/chat.db")


def test_no_client_ca_is_none(write):
    assert load_config(write('[tls]\nclient_ca = ""')).tls.client_ca is None


def test_flags_override_the_file(write):
    path = write('[server]\nnetwork = "People"\nlisten = ["[::1]:1"]\n[store]\npath = "a.db"\n')
    config = load_config(path, {"server": {"listen": ["127.0.0.1:2"]}, "tls": {"key": "k.pem"}})
    assert config.server.listen == (("127.0.0.1", 2),)
    assert config.server.network == "People"
    assert config.store.path == Path("a.db")
    assert config.tls.key == Path("k.pem")


def test_a_flag_is_checked_like_the_file():
    (problem,) = problems(None, {"server": {"listen": ["localhost"]}})
    assert problem == (
        '[server] listen = ["localhost"]: must be a list of addresses such as '
        '["127.0.0.1:6697", "[::1]:6697"]; "localhost": write HOST:PORT, or [IPv6]:PORT'
    )


@pytest.mark.parametrize("listen", [(("::1", 6697),), (("127.0.0.1", 0), ("::", 65535), ("a", 1))])
def test_addresses_are_written_as_they_are_read(listen):
    written = tomllib.loads(f"x = {toml_text(listen)}")["x"]
    assert load_config(None, {"server": {"listen": written}}).server.listen == listen


def test_every_allowed_cost_is_one_that_argon2_takes(write):
    """RFC 9106, section 3.1: memory is at least 8 KiB for each lane."""
    for memory_kib in (8_192, 4_194_304):
        for iterations in (1, 64):
            text = f"argon2_memory_kib = {memory_kib}\nargon2_iterations = {iterations}"
            accounts = load_config(write(f"[accounts]\n{text}")).accounts
            assert accounts.argon2 == Argon2Parameters(memory_kib, iterations, 1)


# ---- mistakes ----


@pytest.mark.parametrize(("section", "key", "value"), CASES)
def test_a_bad_value_is_named_with_what_is_allowed(write, section, key, value):
    (problem,) = problems(write(f"[{section}]\n{key} = {value}\n"))
    shown, _, allowed = problem.partition(": must be ")
    assert shown.startswith(f"[{section}] {key} = ")
    assert allowed
    if key == "url":  # there may be a password in it
        assert shown == "[store] url = …"
        return
    written = tomllib.loads(shown.removeprefix(f"[{section}] "))
    given = tomllib.loads(f"{key} = {value}")
    assert repr(written) == repr(given), "the value is shown so that it can be searched for"


def test_what_is_allowed_is_said_in_words(write):
    found = problems(
        write('[accounts]\nregistration = "all"\nrequired = 1\n[limits]\nsendq_bytes = 1\n')
    )
    assert found == [
        '[accounts] registration = "all": must be one of "open", "invite", "closed"',
        "[accounts] required = 1: must be true or false",
        "[limits] sendq_bytes = 1: must be a whole number from 65,536 to 1,073,741,824",
    ]


def test_all_mistakes_are_named_at_once(write):
    """Each setting with its first bad value, and each of the other kinds of mistakes."""
    lines = ['[servers]\nname = "a.b"', '["odd\\nsection"]']
    for section, settings in BAD.items():
        lines += [f"[{section}]", 'surprise = 1\n"odd\\nkey" = 2']
        lines += [f"{key} = {values[0]}" for key, values in settings.items() if values]
    lines += ['[[operators]]\nname = ""\npassword_hash = 1\nrank = 2', "[[operators]]"]
    found = problems(write("\n".join(lines)))
    for section, settings in BAD.items():
        for key in filter(settings.get, settings):
            assert sum(p.startswith(f"[{section}] {key} = ") for p in found) == 1, key
        assert any(p.startswith(f"[{section}] surprise: no such setting") for p in found)
        assert any(p.startswith(f'[{section}] "odd\\nkey": no such setting') for p in found)
    assert sum("[servers]: no such section" in problem for problem in found) == 1
    assert sum(problem.startswith('["odd\\nsection"]: no such') for problem in found) == 1
    assert sum(problem.startswith("[[operators]]") for problem in found) == 4
    assert len(found) == sum(map(len, BAD.values())) - 1 + 2 * len(BAD) + 2 + 4


def test_an_unknown_setting_names_those_that_exist(write):
    assert problems(write("[store]\nfile = 1")) == [
        "[store] file: no such setting; there are path, url, password_file"
    ]
    known = f"{', '.join(SECTIONS)} and operators, webirc"
    assert problems(write("[stores]")) == [f"[stores]: no such section; there are {known}"]


@pytest.mark.parametrize("section", BAD)
def test_a_section_must_be_a_table(write, section):
    assert problems(write(f"{section} = 1")) == [f"[{section}]: must be a table"]
    path = write(f"{section} = 1")
    assert problems(path, {section: {"x": 1}}) == [f"[{section}]: must be a table"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[server", "not TOML: "),
        (b"name = relay", "not TOML: "),
        (b"[server]\n[server]", "not TOML: "),
        (b'[server]\nname = "\xff"', "not TOML: "),
        (b"\xff\xfe[\0s\0]\0", "not TOML: "),
    ],
)
def test_a_file_that_is_not_toml(write, text, words):
    (problem,) = problems(write(text))
    assert problem.startswith(words)


def test_a_file_that_is_not_there(tmp_path):
    found = problems(tmp_path / "relay.toml")
    assert found == ["cannot be read (No such file or directory)"]


def test_a_folder_in_the_place_of_the_file(tmp_path):
    assert problems(tmp_path) == ["cannot be read (Is a directory)"]


@pytest.mark.parametrize("value", [*NO_STRING, '"secret"'])
def test_what_may_be_a_password_is_not_shown(write, value):
    assert problems(write(f"[server]\npassword_hash = {value}")) == [
        '[server] password_hash = …: must be a line made by "securechat-server hash-password"'
    ]


# ---- operators ----


def test_operators(write):
    config = load_config(
        write(
            f"""
            [[operators]]
            name = "alice"
            password_hash = "{PASSWORD_HASH}"
            [[operators]]
            name = "bob-2_b"
            password_hash = "{PASSWORD_HASH}"
            """
        )
    )
    assert config.operators == (
        OperatorConfig("alice", PASSWORD_HASH),
        OperatorConfig("bob-2_b", PASSWORD_HASH),
    )


@pytest.mark.parametrize("name", ['""', '"a b"', '"a!b"', f'"{"a" * 31}"', "1"])
def test_a_bad_name_of_an_operator(write, name):
    (problem,) = problems(write(f'[[operators]]\nname = {name}\npassword_hash = "{PASSWORD_HASH}"'))
    assert problem == (f"[[operators]] name = {name}: must be 1 to 30 letters, digits, - and _")


@pytest.mark.parametrize(
    "value",
    [
        "1",
        '""',
        '"hunter2"',
        '"$argon2i$v=19$m=8,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA"',
        '"$argon2id$v=19$m=7,t=1,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA"',
        '"$argon2id$v=19$m=8,t=0,p=1$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA"',
        '"$argon2id$v=19$m=8,t=1,p=0$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA"',
        '"$argon2id$v=19$m=15,t=1,p=2$l9f+4L0V1TZiMJHJ/Nd6pg$tkEmB8nGFS3TQYkhE9FuqA"',
    ],
)
def test_a_password_in_the_place_of_its_hash_is_refused_and_not_shown(write, value):
    (problem,) = problems(write(f'[[operators]]\nname = "alice"\npassword_hash = {value}'))
    assert problem == (
        '[[operators]] password_hash = …: must be a line made by "securechat-server hash-password"'
    )


def test_operators_that_lack_something_or_come_twice(write):
    both = f'name = "alice"\npassword_hash = "{PASSWORD_HASH}"'
    missing = "[[operators]]: needs a name and a password_hash"
    assert problems(write('[[operators]]\nname = "alice"')) == [missing]
    assert problems(write(f'[[operators]]\npassword_hash = "{PASSWORD_HASH}"')) == [missing]
    assert problems(write("[[operators]]\n[[operators]]")) == [missing, missing]
    assert problems(write(f"[[operators]]\n{both}\n[[operators]]\n{both}")) == [
        '[[operators]] name = "alice": given 2 times, must be given once'
    ]


def test_operators_are_a_list_of_tables(write):
    assert problems(write(f'[operators]\nname = "alice"\npassword_hash = "{PASSWORD_HASH}"')) == [
        "operators: write [[operators]], once for each"
    ]
    assert problems(write("operators = [1]")) == ["[[operators]]: must be a table"]


def test_the_configuration_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().server.name = "other.name"  # type: ignore[misc]


# ---- web gateways ----

FINGERPRINT = "AB:" * 31 + "ab"


def test_web_gateways(write):
    config = load_config(
        write(
            f"""
            [[webirc]]
            name = "kiwi"
            password_hash = "{PASSWORD_HASH}"
            addresses = ["192.0.2.7", "2001:db8::/64"]
            [[webirc]]
            name = "other"
            fingerprint = "{FINGERPRINT}"
            """
        )
    )
    assert config.webirc == (
        GatewayConfig("kiwi", PASSWORD_HASH, ("192.0.2.7/32", "2001:db8::/64"), ""),
        GatewayConfig("other", "", (), "ab" * 32),
    )


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("name", ('""', "1", r'"a\nb"', f'"{"a" * 41}"')),
        ("password_hash", ('"secret"', "1")),
        ("addresses", ('"192.0.2.7"', "1", "[1]", '["localhost"]', '["192.0.2.7/24"]')),
        ("fingerprint", ('""', '"ab"', "1", f'"{"g" * 64}"')),
    ],
)
def test_bad_settings_of_web_gateways(write, key, values):
    rest = {"name": '"kiwi"', "fingerprint": f'"{FINGERPRINT}"'}
    for value in values:
        lines = [f"{name} = {text}" for name, text in (rest | {key: value}).items()]
        (problem,) = problems(write("\n".join(["[[webirc]]", *lines])))
        assert problem.startswith(f"[[webirc]] {key} = ")


def test_web_gateways_that_nobody_could_know(write):
    """A password without an address, or an address without a password, is not enough."""
    missing = "[[webirc]]: needs a name, and a fingerprint or a password_hash with addresses"
    for line in (
        "",
        'name = "kiwi"',
        f'fingerprint = "{FINGERPRINT}"',
        f'name = "kiwi"\npassword_hash = "{PASSWORD_HASH}"',
        'name = "kiwi"\naddresses = ["192.0.2.7"]',
    ):
        assert problems(write(f"[[webirc]]\n{line}")) == [missing]


def test_a_postgresql_in_place_of_the_file(write):
    url = "postgresql://relay:geheim@db.example.org:5433/chat?sslmode=verify-full"
    config = load_config(write(f'[store]\nurl = "{url}"\npassword_file = "secret"'))
    assert config.store.url is not None
    assert str(config.store.url) == "postgresql://relay@db.example.org:5433/chat"
    assert config.store.url.parameters["password"] == "geheim"
    assert config.store.password_file == Path("secret")
    assert "geheim" not in f"{config} {config!r} {dataclasses.asdict(config)['store']['url']}"


def test_what_is_wrong_with_a_url_is_said_without_its_password(write):
    found = problems(write('[store]\nurl = "postgresql://relay:geheim@db.example.org/chat"'))
    assert len(found) == 1
    assert found[0].startswith("[store] url = …: must be an address such as")
    assert "sslmode=verify-full is needed for db.example.org" in found[0]
    assert "geheim" not in found[0]


def test_a_path_and_a_url_are_one_too_many(write):
    both = write('[store]\nurl = "postgresql://localhost/chat"\npath = "chat.db"')
    assert problems(both) == [
        "[store]: there are a path and a url: write the one that is to be used"
    ]
    # Where the relay has its other files is not where the database is.
    only = write('[store]\nurl = "postgresql://localhost/chat"')
    assert load_config(only, {"store": {"path": "data/x.db"}}).store.url is not None


CLUSTER = """
[cluster]
nats = ["tls://nats1.example.org:4222", "tls://nats2.example.org"]
relay = "east"
[store]
url = "postgresql://localhost/chat"
"""


def test_several_relays_need_names_and_a_database_that_they_share(write):
    config = load_config(write(CLUSTER))
    assert config.cluster.nats == ("tls://nats1.example.org:4222", "tls://nats2.example.org")
    with pytest.raises(ConfigError) as caught:
        load_config(write('[cluster]\nnats = ["nats://127.0.0.1"]\nuser = "a"\ncredentials = "b"'))
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "[cluster] relay: each of several relays needs a name of its own",
        "[store] url: several relays need a PostgreSQL that they share",
        "[cluster]: there are a user and credentials: write one of them",
    ]
