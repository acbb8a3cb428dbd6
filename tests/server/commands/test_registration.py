"""NICK, USER, PASS, PING, PONG, QUIT, and getting on the network."""

from __future__ import annotations

import itertools

import pytest

from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    NAME,
    NETWORK,
    PASSWORD,
    FakeClock,
    RunningRelay,
    commands,
    short,
)

USER = "USER ann 0 * :Ann of Green Gables"
WELCOME = ["001", "002", "003", "004", "005", "005", "005"]
LUSERS = ["251", "252", "253", "254", "255", "265", "266"]


# ---- the order of things ----


@pytest.mark.parametrize(
    "lines",
    [
        ("NICK ann", USER),
        (USER, "NICK ann"),
        ("PASS secret", "NICK ann", USER),
        ("PASS secret", "PASS other", USER, "NICK ann"),
        ("NICK bob", "NICK ann", USER),
        ("CAP LS 302", "NICK ann", USER, "CAP END"),
        ("CAP LS", USER, "NICK ann", "CAP END"),
        ("NICK ann", "CAP LS 302", USER, "CAP REQ :sasl", "CAP END"),
        ("CAP REQ :server-time", "NICK ann", "CAP END", USER),
        ("CAP END", "NICK ann", USER),
        ("CAP LIST", "NICK ann", USER),
    ],
)
def test_every_legal_order_gets_on_the_network(relay: RunningRelay, lines: tuple[str, ...]) -> None:
    """ "Once capability negotiation has completed with a client-sent CAP END command, registration
    continues as normal." """
    client = relay.connect()
    *first, last = lines
    assert "001" not in commands(client.ask(*first))
    assert "001" in commands(client.ask(last))


@pytest.mark.parametrize("lines", list(itertools.permutations(("NICK ann", USER, "CAP LS 302"))))
def test_whatever_the_order_the_end_of_the_negotiation_is_waited_for(
    relay: RunningRelay, lines: tuple[str, ...]
) -> None:
    """ "Upon receiving either a CAP LS or CAP REQ command during connection registration, the
    server MUST not complete registration until the client sends a CAP END command": of course one
    that is complete before stays so."""
    client = relay.connect()
    at_once = lines[2] == "CAP LS 302"
    assert ("001" in commands(client.ask(*lines))) is at_once
    assert ("001" in commands(client.ask("CAP END"))) is not at_once


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        (("USER", "NICK", "NICK ann", USER), ["461", "431", "001"]),
        ((USER, "NICK 1", "NICK :", USER, "NICK ann"), ["432", "431", "462", "001"]),
        (("NICK ann", "NICK 1", USER), ["432", "001"]),
        (("JOIN #a", "NICK ann", "PRIVMSG ann :x", USER), ["451", "451", "001"]),
        (("CAP FOO", "CAP", "NICK ann", USER), ["410", "461", "001"]),
        (("PASS", "PING", "PING :", "NICK ann", USER), ["461", "461", "409", "001"]),
        (("CAP END", "CAP END", "NICK ann", "CAP END", USER), ["001"]),
        (("CAP LS", USER, "CAP LS 301", "NICK ann", "CAP END"), ["CAP", "CAP", "001"]),
        (("NICK ann", "AUTHENTICATE PLAIN", USER), ["904", "001"]),
    ],
)
def test_illegal_steps_are_refused_and_change_nothing(
    relay: RunningRelay, lines: tuple[str, ...], answers: list[str]
) -> None:
    """Each has its numeric, and the registration goes on where it was."""
    found = commands(relay.connect().ask(*lines))
    assert found[: len(answers)] == answers
    assert found.count("001") == 1


def test_two_who_want_one_nick_at_once(relay: RunningRelay) -> None:
    """One of them gets it, whoever was first to be complete."""
    first, second = relay.connect(), relay.connect()
    assert first.ask("NICK ann") == second.ask("NICK ann") == []
    assert "001" in commands(first.ask(USER))
    assert second.ask(USER) == ["433 * ann :Nickname is already in use"]


def test_the_welcome(relay: RunningRelay) -> None:
    """ "Upon successful completion of the registration process, the server MUST send, in this
    order: RPL_WELCOME, RPL_YOURHOST, RPL_CREATED, RPL_MYINFO, at least one RPL_ISUPPORT (…) The
    server MAY then send other numerics and messages. (…) LUSERS (…) the MOTD" """
    client = relay.connect()
    found = client.collect("NICK ann", USER)
    assert [message.command for message in found] == [*WELCOME, *LUSERS, "422"]
    assert {message.source for message in found} == {NAME}
    assert {message.params[0] for message in found} == {"ann"}
    welcome, host, created, info = (message.params[1:] for message in found[:4])
    assert welcome[0].startswith(f"Welcome to the {NETWORK} network, ann!~ann@")
    assert host[0].startswith(f"Your host is {NAME}, running securechat ")
    assert created == ("This relay was started 2023-11-14 22:13:20 UTC",)
    assert info[0] == NAME
    assert info[1].startswith("securechat-")
    assert info[2:] == ("BRiow", "CIMRabehiklmnoqstv", "Ibeklqaohv")


def test_the_isupport_tokens(relay: RunningRelay) -> None:
    """ "Clients SHOULD assume that the server supports what it advertises": so all is true."""
    client = relay.connect()
    found = [m.params for m in client.collect("NICK ann", USER) if m.command == "005"]
    assert all(params[-1] == "are supported by this server" for params in found)
    assert all(len(params) <= 15 for params in found)
    tokens = dict(token.partition("=")[::2] for params in found for token in params[1:-1])
    assert tokens == {
        "ACCOUNTEXTBAN": "a",
        "AWAYLEN": "200",
        "BOT": "B",
        "CASEMAPPING": "ascii",
        "CHANLIMIT": "#:100",
        "CHANMODES": "beI,k,l,CMRimnst",
        "CHANNELLEN": "64",
        "CHANTYPES": "#",
        "CHATHISTORY": "100",
        "ELIST": "CMNTU",
        "EXCEPTS": "",
        "EXTBAN": ",am",
        "HOSTLEN": "63",
        "INVEX": "",
        "KICKLEN": "250",
        "LINELEN": "512",
        "MAXLIST": "beI:100",
        "MAXTARGETS": "4",
        "MODES": "12",
        "MONITOR": "100",
        "MSGREFTYPES": "msgid,timestamp",
        "NAMELEN": "150",
        "NETWORK": NETWORK,
        "NICKLEN": "30",
        "PREFIX": "(qaohv)~&@%+",
        "SAFELIST": "",
        "STATUSMSG": "~&@%+",
        "TARGMAX": (
            "JOIN:,PART:,NAMES:1,LIST:,WHOIS:1,WHOWAS:1,KICK:4,PRIVMSG:4,NOTICE:4,TAGMSG:4,MONITOR:"
        ),
        "TOPICLEN": "300",
        "USERLEN": "20",
        "UTF8ONLY": "",
        "WHOX": "",
    }


def test_lengths_that_are_told_hold(relay: RunningRelay) -> None:
    """ "USERLEN (…) the username MUST be silently truncated to the given length"; HOSTLEN."""
    client = relay.connect()
    client.send(f"NICK {'n' * 30}", f"USER {'u' * 40} 0 * :{'r' * 200}")
    source = client.expect("001").params[1].split(" ")[-1]
    nick, _, rest = source.partition("!")
    user, _, host = rest.partition("@")
    assert nick == "n" * 30
    assert user == "~" + "u" * 19
    assert len(host) == 19
    client.sync()
    (whois,) = [m for m in client.collect(f"WHOIS {nick}") if m.command == "311"]
    assert whois.params[-1] == "r" * 150


def test_the_username_has_a_tilde_and_only_plain_characters(relay: RunningRelay) -> None:
    """ "the username provided by the client SHOULD be prefixed by a tilde ('~', 0x7E) to show that
    this value is user-set." """
    client = relay.connect()
    client.send("NICK ann", "USER a!b@c*d 0 * :x")
    assert "ann!~abcd@" in client.expect("001").params[1]


# ---- what is too early or too late ----


@pytest.mark.parametrize(
    "line",
    [
        "JOIN #a", "PRIVMSG ann :hi", "WHO", "LIST", "MODE ann", "OPER a b", "NONSENSE",
        "TAGMSG ann", "LUSERS", "MOTD", "SETNAME :x", "AWAY", "ISON a", "001 a",
    ],
)  # fmt: skip
def test_most_commands_need_registration(relay: RunningRelay, line: str) -> None:
    """ERR_NOTREGISTERED: "Returned when a client command cannot be parsed as they are not yet
    registered." """
    assert relay.connect().ask(line) == ["451 * :You have not registered"]


def test_the_nick_that_was_given_is_used_in_errors(relay: RunningRelay) -> None:
    """ "the nickname (…) or asterisk if one is not yet available." """
    client = relay.connect()
    assert client.ask("NICK ann", "JOIN #a") == ["451 ann :You have not registered"]


@pytest.mark.parametrize(
    "line", ["USER", "USER ann", "USER ann 0", "USER ann 0 *", "USER : 0 * :x", "PASS", "CAP"]
)
def test_missing_parameters(relay: RunningRelay, line: str) -> None:
    """ "The minimum length of <username> is 1 (…) If it is empty, the server SHOULD reject the
    command with ERR_NEEDMOREPARAMS (even if an empty parameter is provided)" """
    name = line.split(" ")[0]
    assert relay.connect().ask(line) == [f"461 * {name} :Not enough parameters"]


def test_an_empty_realname_is_refused(relay: RunningRelay) -> None:
    """ "If it is empty, the server SHOULD reject the command with ERR_NEEDMOREPARAMS (even if an
    empty parameter is provided)", which is said of the user name; servers do so with both."""
    client = relay.connect()
    assert client.ask("NICK ann", "USER anna 0 * :") == ["461 ann USER :Not enough parameters"]
    assert "001" in commands(client.ask("USER anna 0 * :Ann"))


def test_user_and_pass_come_once(relay: RunningRelay) -> None:
    """ "If a client tries to send the USER command after they have already completed registration
    with the server, the ERR_ALREADYREGISTERED reply should be sent (…)" """
    client = relay.connect()
    refused = "462 * :You may not reregister"
    assert client.ask(USER, USER) == [refused]
    client.register("ann")
    assert client.ask("USER x 0 * :x") == ["462 ann :You may not reregister"]
    assert client.ask("PASS x") == ["462 ann :You may not reregister"]


# ---- NICK ----


def test_a_nick_must_be_given(relay: RunningRelay) -> None:
    """ERR_NONICKNAMEGIVEN: "If the server does not receive the <nickname> parameter" """
    client = relay.connect()
    assert client.ask("NICK", "NICK :") == ["431 * :No nickname given"] * 2


def test_a_nick_too_long(relay: RunningRelay) -> None:
    nick = "n" * 31
    wanted = f"432 * {nick} :Erroneous nickname: over 30 characters"
    assert relay.connect().ask(f"NICK {nick}") == [wanted]


@pytest.mark.parametrize(
    "nick", ["1ann", "-ann", "a n", "ann!", "a@b", "#ann", "a,b", "*", "änn", "a:b"]
)
def test_bad_nicks(relay: RunningRelay, nick: str) -> None:
    """ "If the server does not accept the new nickname (…) ERR_ERRONEUSNICKNAME" """
    client = relay.connect()
    shown = nick if " " not in nick else "*"
    assert client.ask(f"NICK :{nick}") == [f"432 * {shown} :Erroneous nickname"]
    client.register("ann")
    assert client.ask(f"NICK :{nick}") == [f"432 ann {shown} :Erroneous nickname"]


@pytest.mark.parametrize("nick", ["a1", "[ann]", "{ann}", "a\\b", "a|b", "`ann`", "^a^", "_a-1"])
def test_good_nicks(relay: RunningRelay, nick: str) -> None:
    r""" "Servers MUST allow at least all alphanumerical characters, square and curly brackets
    ([]{}), backslashes (\), and pipe (|) characters in nicknames" """
    client = relay.connect()
    assert "001" in commands(client.ask(f"NICK {nick}", USER))


def test_a_nick_in_use(relay: RunningRelay) -> None:
    """ "where the desired nickname is already in use on the network, it should issue an
    ERR_NICKNAMEINUSE numeric and ignore the NICK command." """
    relay.join("ann")
    client = relay.connect()
    in_use = "433 * ANN :Nickname is already in use"
    assert client.ask(USER, "NICK ANN") == [in_use]
    assert "001" in commands(client.ask("NICK bob"))
    assert client.ask("NICK Ann") == ["433 bob Ann :Nickname is already in use"]


def test_a_nick_taken_between_nick_and_user(relay: RunningRelay) -> None:
    """As above: the nick is checked when it is taken, whenever it was named."""
    first, second = relay.connect(), relay.connect()
    assert first.ask("NICK ann") == []
    second.register("ann")
    assert first.ask(USER) == ["433 * ann :Nickname is already in use"]
    assert "001" in commands(first.ask("NICK bob"))


def test_a_nick_change_is_seen_by_all_who_share_a_room(relay: RunningRelay) -> None:
    """ "the <source> of the message will be the old nickname [ [ "!" user ] "@" host ] of the user
    who is changing their nickname." """
    ann, bob, carl = relay.join("ann"), relay.join("bob"), relay.join("carl")
    for client in (ann, bob):
        client.ask("JOIN #a,#b")
    ann.sync()
    (own,) = ann.collect("NICK anna")
    assert short(own) == ":ann NICK anna"
    assert own.source is not None
    assert own.source.startswith("ann!~ann@")
    assert bob.seen() == [":ann NICK anna"]
    assert carl.seen() == []
    assert ann.ask("PRIVMSG anna :me") == [":anna PRIVMSG anna me"]
    assert bob.ask("PRIVMSG ann :you") == ["401 bob ann :No such nick/channel"]


def test_a_change_of_case_is_a_change(relay: RunningRelay) -> None:
    """ "Servers MUST (…) CASEMAPPING": one's own nick in other letters is not in use."""
    ann = relay.join("ann")
    assert ann.ask("NICK ANN") == [":ann NICK ANN"]
    assert ann.ask("NICK ANN") == []
    assert ann.ask("PRIVMSG ann :x") == [":ANN PRIVMSG ANN x"]


def test_an_old_nick_is_free(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    ann.ask("NICK anna")
    relay.join("ann")
    assert ann.ask("NICK ann") == ["433 anna ann :Nickname is already in use"]


# ---- a registered nick ----

RESERVED = "Nickname is registered: log in to its account, or choose another"


def test_a_registered_nick_needs_its_login(relay: RunningRelay) -> None:
    """FAIL NICK NICKNAME_RESERVED, for those who understand; the login may still come."""
    relay.account("ann").quit()
    client = relay.connect()
    client.request("sasl", "standard-replies")
    assert client.ask("NICK ann", USER, "CAP END") == [
        f"FAIL NICK NICKNAME_RESERVED ann :{RESERVED}",
        f"433 ann ann :{RESERVED}",
    ]
    found = commands(client.authenticate_plain("ann"))
    assert found[:3] == ["900", "903", "001"]


def test_a_registered_nick_for_a_plain_client(relay: RunningRelay) -> None:
    """ "If the server (…) nickname is already in use": 433, and another nick will do."""
    relay.account("ann").quit()
    client = relay.connect()
    assert client.ask("NICK Ann", USER) == [f"433 Ann Ann :{RESERVED}"]
    found = client.ask("NICK bob")
    assert found[0].startswith("001 bob ")
    assert client.ask("NICK ANN") == [f"433 bob ANN :{RESERVED}"]


def test_an_account_may_be_on_under_another_nick(relay: RunningRelay) -> None:
    relay.account("ann").quit()
    client = relay.login("ann", nick="bob")
    assert client.ask("NICK ann") == [":bob NICK ann"]


def test_guests_may_be_refused(start_relay: StartRelay) -> None:
    """FAIL * ACCOUNT_REQUIRED: "Sent by the server in response to the end of connection
    registration (…) if connection registration cannot proceed unless the user logs into an account
    with SASL." draft/ACCOUNTREQUIRED: "the connection to the server cannot be completed unless the
    clients authenticates" """
    relay = start_relay(accounts={"required": True})
    client = relay.connect()
    client.request("sasl", "draft/account-registration")
    required = "FAIL * ACCOUNT_REQUIRED :You must log in to an account to use this relay"
    assert client.ask("NICK ann", USER, "CAP END") == [required]
    assert client.ask("JOIN #a") == ["451 ann :You have not registered"]
    client.send(f"REGISTER ann * :{PASSWORD}")
    assert client.expect("REGISTER").params[:2] == ("SUCCESS", "ann")
    assert client.expect("001").params[0] == "ann"
    tokens = [m.params[1:-1] for m in client.sync() if m.command == "005"]
    assert "draft/ACCOUNTREQUIRED" in itertools.chain.from_iterable(tokens)


def test_guests_who_cannot_log_in_are_told_to_leave(start_relay: StartRelay) -> None:
    """ERROR: "a fatal error, before terminating the client's connection." """
    relay = start_relay(accounts={"required": True})
    client = relay.connect()
    client.send("NICK ann", USER)
    text = "You must log in to an account to use this relay"
    assert client.read_to_end() == [
        f"FAIL * ACCOUNT_REQUIRED :{text}",
        f"ERROR :Closing link: {text}",
    ]


# ---- a second device ----


def test_a_second_device_is_the_same_user(relay: RunningRelay) -> None:
    """A further session of an account attaches to its nick and is where the others are."""
    first = relay.account("ann")
    other = relay.join("bob")
    first.ask("JOIN #a", "JOIN #b", "TOPIC #a :about a")
    other.ask("JOIN #a")
    first.sync()
    second = relay.connect()
    second.request("sasl")
    second.authenticate_plain("ann")
    found = second.ask("NICK ann", USER, "CAP END")
    assert commands(found)[:1] == ["001"]
    there = found.index(":ann JOIN #a")
    assert commands(found[there:]) == ["JOIN", "332", "333", "353", "366", "JOIN", "353", "366"]
    assert found[there + 3] == "353 ann = #a :@ann bob"
    assert [line for line in found if line.startswith(":ann JOIN")] == [
        ":ann JOIN #a",
        ":ann JOIN #b",
    ]
    assert other.seen() == []
    assert first.seen() == []
    other.ask("PRIVMSG #a :to all", "PRIVMSG ann :to ann")
    wanted = [":bob PRIVMSG #a :to all", ":bob PRIVMSG ann :to ann"]
    assert first.seen() == wanted
    assert second.seen() == wanted
    second.ask("PRIVMSG #a :from two")
    assert first.seen() == [":ann PRIVMSG #a :from two"]
    assert other.seen() == [":ann PRIVMSG #a :from two"]
    second.ask("JOIN #c")
    assert first.seen()[0] == ":ann JOIN #c"
    second.quit()
    assert other.seen() == []
    assert other.ask("PRIVMSG ann :still there?") == []
    assert first.seen() == [":bob PRIVMSG ann :still there?"]
    first.quit()
    assert other.seen() == [":ann QUIT :Quit: "]


def test_a_second_device_sees_joins_in_its_own_form(relay: RunningRelay) -> None:
    """extended-join: "When enabled, the JOIN message will designate the account name of the user";
    server-time, account-tag: as on any message of a user."""
    first = relay.account("ann")
    first.ask("JOIN #a")
    second = relay.connect()
    second.request("sasl", "extended-join", "account-tag", "server-time")
    second.authenticate_plain("ann")
    found = second.collect("NICK ann", USER, "CAP END")
    (joined,) = [message for message in found if message.command == "JOIN"]
    assert joined.params == ("#a", "ann", "Real ann")
    assert joined.tags == {"account": "ann", "time": "2023-11-14T22:13:20.250Z"}


# ---- PING ----


def test_ping_and_pong(relay: RunningRelay) -> None:
    """ "clients or servers must reply to it with a PONG message with the same <token> value."
    "Servers MUST send a <server> parameter" """
    for client in (relay.connect(), relay.join("ann")):
        client.send("PING :a token: with spaces")
        assert client.read().params == (NAME, "a token: with spaces")
        nick = client.nick or "*"
        assert client.ask("PING") == [f"461 {nick} PING :Not enough parameters"]
        assert client.ask("PING :") == [f"409 {nick} :No origin specified"]
        assert client.ask("PONG", "PONG x") == []


# ---- the end ----


def test_quit(relay: RunningRelay) -> None:
    """ "The server acknowledges this by replying with an ERROR message and closing the connection
    to the client." "servers SHOULD prepend <reason> with the ASCII string "Quit: " when sending
    QUIT messages to other clients (…) This applies even if <reason> is empty" """
    bob = relay.join("bob")
    bob.ask("JOIN #a,#b")
    for line, reason in (("QUIT :see you", "Quit: see you"), ("QUIT", "Quit: ")):
        ann = relay.join("ann")
        ann.ask("JOIN #a", "JOIN #b")
        bob.sync()
        ann.send(line, "PRIVMSG #a :too late")
        assert ann.read_to_end() == [f"ERROR :Closing link: {reason}"]
        assert bob.seen() == [f":ann QUIT :{reason}"]


def test_quit_before_registration(relay: RunningRelay) -> None:
    """ "The server acknowledges this by replying with an ERROR message" """
    client = relay.connect()
    assert client.quit() == ["ERROR :Closing link: Quit: "]


def test_only_those_who_share_a_room_see_a_quit(relay: RunningRelay) -> None:
    """ "This is typically only dispatched to clients that share a channel with the exiting user."""
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.quit()
    assert bob.seen() == []
    assert bob.ask("ISON ann") == ["303 bob :"]


def test_a_lost_connection_is_seen_as_quit(relay: RunningRelay) -> None:
    """ "If a client connection is closed without the client issuing a QUIT command to the server,
    the server MUST distribute a QUIT message to other clients (…) Servers MUST fill <reason> with a
    message reflecting the nature of the event" """
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.vanish()
    assert bob.expect("QUIT").params[0] in ("Connection closed", "Connection reset by peer")


def test_an_orderly_tls_close_is_a_quit_too(relay: RunningRelay) -> None:
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    ann.sock.unwrap()
    assert bob.expect("QUIT").params == ("Connection closed",)


# ---- deadlines ----


def test_the_registration_deadline(start_relay: StartRelay, clock: FakeClock) -> None:
    """The ERROR says why; whoever is registered stays."""
    relay = start_relay(clock=clock, limits={"ping_interval_s": 3600.0})
    slow, fast = relay.connect(), relay.join("bob")
    slow.ask("NICK ann")
    clock.now += 59
    relay.wake()
    assert slow.sync() == []
    clock.now += 1
    relay.wake()
    assert slow.read_to_end() == ["ERROR :Closing link: Registration timed out"]
    assert fast.sync() == []


def test_the_ping_timeout(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "For instance, "Ping timeout: 120 seconds" (…) are examples of relevant reasons" """
    relay = start_relay(clock=clock)
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    clock.now += 60
    relay.wake()
    bob.sync()
    clock.now += 30
    relay.wake()
    assert ann.read().params == (NAME,)
    assert bob.sync() == []
    clock.now += 59
    relay.wake()
    bob.send("PONG x")
    bob.sync()
    clock.now += 1
    relay.wake()
    assert ann.read_to_end() == ["ERROR :Closing link: Ping timeout: 150 seconds"]
    assert bob.expect("QUIT").params == ("Ping timeout: 150 seconds",)


def test_an_answer_to_ping_keeps_the_connection(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "to check the other side of the connection is still connected" """
    relay = start_relay(clock=clock)
    ann = relay.join("ann")
    for _ in range(3):
        clock.now += 90
        relay.wake()
        ann.expect("PING")
        ann.send(f"PONG {NAME}")
        assert ann.sync() == []
