"""Which nicks and channel names are legal, which are equal, and which look alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import ConfigError
from securechat.irc.casemapping import fold
from securechat.server import names as names_module
from securechat.server.config_file import load_config
from securechat.server.names import ASCII_NAMES, make_names
from tests.server.conftest import StartRelay
from tests.server.network_transcripts import Chat
from tests.server.relay_harness import PASSWORD, commands

NAMES = make_names("precis")


@pytest.mark.parametrize("nick", ["Ännchen", "日本", "ИВАН", "אב", "a日", "ß", "[x]é"])
def test_legal_nicks(nick: str) -> None:
    """RFC 8265: "UsernameCaseMapped" """
    assert NAMES.is_nick(nick, 30)
    assert NAMES.is_channel_name(f"#{nick}", 64)
    assert NAMES.fold(nick) == nick.lower()
    assert not ASCII_NAMES.is_nick(nick, 30)


@pytest.mark.parametrize(
    "nick",
    [
        *("", "é x", "1é", "٣é", "é٣ب", "é*", "é,b", "é!", "é@", "#é", "é\u200d", "ﬁx", "😀"),
        *("é\0", "～é", "é，b", "é＊", "1a", "a b", "\udcffé"),
    ],
)
def test_illegal_nicks(nick: str) -> None:
    """Nor does PRECIS make a mask or a list of what was none: it takes a wide comma for a comma."""
    assert not NAMES.is_nick(nick, 30)


def test_lengths_are_in_bytes() -> None:
    assert NAMES.is_nick("é" * 15, 30)
    assert not NAMES.is_nick("é" * 16, 30)
    assert NAMES.is_channel_name("#" + "é" * 10, 21)
    assert not NAMES.is_channel_name("#" + "é" * 10, 20)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("#ÉTÉ", "#été"),
        ("E\u0301", "é"),
        ("ＡＢ", "ab"),
        ("ΑΒΓ", "αβγ"),
        ("##אב", "##אב"),
        ("#", "#"),
    ],
)
def test_equal_names(name: str, same: str) -> None:
    """RFC 8265: the width, additional, case and normalization mapping rules."""
    assert NAMES.fold(name) == same


@given(st.text(max_size=20))
def test_any_text_can_be_folded(text: str) -> None:
    folded = NAMES.fold(text)
    assert NAMES.fold(folded) == folded
    assert NAMES.is_nick(folded, 400) or not NAMES.is_nick(text, 100)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_stays_as_it_was(text: str) -> None:
    """So a relay may change to "precis" with all its accounts."""
    assert NAMES.fold(text) == fold(text)
    assert NAMES.is_nick(text, 30) == ASCII_NAMES.is_nick(text, 30)
    assert NAMES.is_channel_name(text, 30) == ASCII_NAMES.is_channel_name(text, 30)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("evan", "еvan"),  # U+0435
        ("Bob", "Вob"),  # U+0412
        ("ivan", "Ιvan"),  # U+0399
        ("paypal", "раураl"),
        ("αβγ", "ΑΒΓ"),
        ("mario", "mагio"),
        ("Évan", "Е\u0301van"),
    ],
)
def test_names_that_look_alike(name: str, other: str) -> None:
    """UTS #39: "X and Y are confusable if skeleton(X) = skeleton(Y)" """
    assert NAMES.is_nick(other, 40)
    assert NAMES.skeletons(name) & NAMES.skeletons(other)
    assert NAMES.fold(name) == NAMES.fold(other) or name != "αβγ"


@pytest.mark.parametrize(
    ("name", "other"),
    [("Ännchen", "Annchen"), ("modern", "modem"), ("l0l", "lOl"), ("иван", "ivan")],
)
def test_names_that_do_not(name: str, other: str) -> None:
    """ASCII stands for itself."""
    assert not NAMES.skeletons(name) & NAMES.skeletons(other)


def test_ascii_has_no_lookalikes() -> None:
    assert ASCII_NAMES.skeletons("evan") == frozenset()


# ---- in the chat state ----


LOOKALIKES = """
    >> 1 attach evan
    >> 2 attach еvan
    !! ERR_NICKNAMEINUSE еvan: Nickname looks like one in use
    >> 2 attach bob
    >> 2 nick EVАN
    !! ERR_NICKNAMEINUSE EVАN: Nickname looks like one in use
    >> 1 nick еvan
    << nick evan еvan | to nobody
    >> 2 nick evan
    !! ERR_NICKNAMEINUSE evan: Nickname looks like one in use
    >> 1 nick dora
    << nick еvan dora | to nobody
    >> 2 nick evan
    << nick bob evan | to nobody
    >> 2 detach bye
    << quit evan: bye | to nobody | from nowhere
    >> 1 nick еvan
    << nick dora еvan | to nobody
"""


def test_who_looks_like_somebody_is_refused() -> None:
    Chat(names=NAMES).play(LOOKALIKES)


def test_accounts_keep_what_looks_like_them() -> None:
    chat = Chat(names=NAMES)
    text = "Nickname is registered: log in to its account, or choose another"
    chat.play(
        f"""
        >> 9 account evan
        >> 1 attach еvan
        !! ERR_NICKNAMEINUSE еvan: {text}
        >> 1 attach еvan as evan
        >> 2 attach evan as evan
        >> 3 attach bob
        >> 3 nick еvаn
        !! ERR_NICKNAMEINUSE еvаn: {text}
        >> 1 detach bye
        << quit еvan: bye | to nobody | from nowhere
        >> 2 nick еvаn
        << nick evan еvаn | to nobody
        """
    )


def test_names_beyond_ascii_in_the_chat() -> None:
    chat = Chat(names=NAMES)
    chat.play(
        """
        >> 1 attach Ännchen
        >> 2 attach ÄNNCHEN
        !! ERR_NICKNAMEINUSE ÄNNCHEN
        >> 2 attach bob
        >> 1 join #Straße
        << joined #Straße Ännchen
        >> 2 join #STRAßE
        << joined #Straße bob
        >> 2 privmsg ännchen hi
        << privmsg Ännchen by bob: hi
        >> 1 mode #straße +b BÖB!*@*
        << mode #Straße by Ännchen: +b BÖB!*@*
        >> 2 nick böb
        << nick bob böb | to Ännchen
        >> 2 privmsg #straße hi
        !! ERR_CANNOTSENDTOCHAN #Straße: Cannot send to channel (+b)
        """
    )


# ---- in a relay ----

PRECIS = {"casemapping": "precis"}


def test_a_relay_of_all_scripts(start_relay: StartRelay) -> None:
    relay = start_relay(server=PRECIS)
    anna = relay.account("Ännchen")
    (tokens,) = (line for line in anna.ask("VERSION") if " UTF8MAPPING=" in line)
    assert " UTF8MAPPING=rfc8265 " in tokens
    assert any(" CASEMAPPING=ascii " in line for line in anna.ask("VERSION"))
    anna.ask("JOIN #Straße")
    phone = relay.login("ÄNNCHEN", nick="ännchen")
    bob = relay.join("bob")
    bob.ask("JOIN #STRASSE,#STRAßE", "MONITOR + äNNCHEN")
    anna.sync()
    phone.sync()
    assert bob.ask("PRIVMSG ännchen,#straße :hi") == []
    wanted = [":bob PRIVMSG Ännchen hi", ":bob PRIVMSG #Straße hi"]
    assert anna.seen() == phone.seen() == wanted
    assert bob.ask("WHOIS ÄNNCHEN")[0].startswith("311 bob Ännchen ")


def test_a_confusable_name_cannot_be_registered(start_relay: StartRelay) -> None:
    relay = start_relay(server=PRECIS)
    relay.account("evan").quit()
    guest = relay.join("mario")
    client = relay.connect()
    client.request("draft/account-registration", "sasl")
    for nick in ("еvan", "mагio"):
        client.send(f"NICK {nick}", f"REGISTER * * :{PASSWORD}")
        assert client.expect("FAIL").params[:2] == ("REGISTER", "BAD_ACCOUNT_NAME")
    assert "433" in commands(client.ask("USER x 0 * :x", "CAP END"))
    assert guest.seen() == []
    # Its owner may look like himself.
    owner = relay.login("evan")
    assert owner.ask("NICK еvan") == [":evan NICK еvan"]


def test_failed_logins_count_for_all_forms_of_a_name(start_relay: StartRelay) -> None:
    relay = start_relay(server=PRECIS, accounts={"failures_per_minute": 2})
    anna = relay.connect()
    anna.request("sasl")
    throttle = relay.relay.services.authenticator.throttle
    for name in ("Ännchen", "ÄNNCHEN", "änncheN"):
        anna.authenticate_plain(name, "wrong password")
    assert len(throttle) == 2  # the address, the account


def test_another_casemapping_is_refused_while_names_depend_on_it(start_relay: StartRelay) -> None:
    """ASCII names are the same under both: "ascii" can become "precis", and back."""
    relay = start_relay()
    relay.account("Evan").quit()
    relay.stop()
    relay = start_relay(server=PRECIS)
    assert relay.login("EVAN").nick == "EVAN"
    relay.stop()
    start_relay().stop()
    relay = start_relay(server=PRECIS)
    relay.account("Ännchen").quit()
    relay.stop()
    with pytest.raises(ConfigError, match="it was another one when names were stored: Ännchen"):
        start_relay()


def test_the_libraries_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relay.toml"
    path.write_text('[server]\ncasemapping = "precis"\n')
    assert load_config(path).server.casemapping == "precis"
    monkeypatch.setattr(names_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "securechat\[unicode\]"'):
        load_config(path)
    path.write_text('[server]\ncasemapping = "ascii"\n')
    assert load_config(path).server.casemapping == "ascii"


def test_the_relay_folds_by_the_configured_mapping_only() -> None:
    """``irc`` knows ASCII names; in the relay ``network.names`` says which there are."""
    by_themselves = re.compile(r"irc\.casemapping|irc\.names import .*is_(nick|channel_name)")
    server = Path(names_module.__file__).parent
    users = [
        path.relative_to(server).as_posix()
        for path in sorted(server.rglob("*.py"))
        if by_themselves.search(path.read_text("utf-8"))
    ]
    assert users == ["names.py", "unicode_names.py"]
