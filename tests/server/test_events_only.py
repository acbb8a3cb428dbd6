"""A handler changes the chat state by events only: held on the source and while a relay runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import securechat.server
from securechat import pki
from securechat.irc import capabilities as caps
from securechat.irc.message import Message
from securechat.irc.peering import announce
from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.network_checks import state_of
from tests.server.relay_harness import PASSWORD

SERVER = Path(securechat.server.__file__).parent
SOURCES = [
    *sorted((SERVER / "commands").glob("*.py")),
    *(SERVER / name for name in ("context.py", "session.py", "dispatch.py", "registration.py")),
]
SOURCES = [path for path in SOURCES if path.exists()]

# Whose attributes this code may set: a connection's own things, which are no chat state.
OWN = {
    "self",
    "context",
    "session",
    "exchange",
    "registration",
    "self.session",
    "self.registration",
    "self.connection",
    "context.session",
    "session.registration",
    "context.session.registration",
    "self.connection.thread.traffic",  # counts of the session's own thread
}

# What changes a set, dict, list or deque, or an object of the chat state.
CHANGING = {
    "add",
    "append",
    "appendleft",
    "apply",
    "clear",
    "difference_update",
    "discard",
    "extend",
    "insert",
    "intersection_update",
    "pop",
    "popitem",
    "popleft",
    "refresh_author",
    "remove",
    "setdefault",
    "symmetric_difference_update",
    "update",
}

# Calls of such names on what is no chat state: the registry of sessions has a lock of its own, and
# these tables are in the store.
ALLOWED_CALLS = {
    "services.registry.add",
    "services.registry.remove",
    "self._services.registry.remove",
    "certificates.add",
    "certificates.remove",
}


def violations(source: str) -> Iterator[str]:
    """Yield what ``source`` might change that is not its own.

    It may set attributes of what is in ``OWN`` and change containers that are attributes of
    ``self``, or local names bound to a new container (a display, a comprehension, a call).
    """
    tree = ast.parse(source)
    functions: dict[ast.AST, list[ast.FunctionDef]] = {node: [] for node in ast.walk(tree)}
    for function in functions:
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                functions[node].append(function)
    for node, around in functions.items():
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            if ast.unparse(node.value) not in OWN:
                yield f"{node.lineno}: sets {ast.unparse(node)}"
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            if not _is_own(node.value, around):
                yield f"{node.lineno}: sets {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and node.attr in CHANGING:
            if ast.unparse(node) not in ALLOWED_CALLS and not _is_own(node.value, around):
                yield f"{node.lineno}: uses {ast.unparse(node)}"
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            # `modes |= …` changes a set in place, whoever has it
            is_bits = isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor)
            if is_bits and not _is_own(node.target, around) and not _is_number(node):
                yield f"{node.lineno}: changes {ast.unparse(node)}"
        elif isinstance(node, ast.Name) and node.id in ("setattr", "delattr", "vars"):
            yield f"{node.lineno}: uses {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in ("__dict__", "__setattr__"):
            yield f"{node.lineno}: uses {ast.unparse(node)}"


def _is_own(value: ast.expr, around: list[ast.FunctionDef]) -> bool:
    if isinstance(value, ast.Attribute):
        return ast.unparse(value.value) == "self"
    if not isinstance(value, ast.Name):
        return False
    bound = [
        node.value
        for function in around
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == value.id
    ]
    return bound != [] and all(map(_is_new, bound))


def _is_new(value: ast.expr) -> bool:
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    if isinstance(value, displays):
        return True
    if isinstance(value, ast.Call):
        return ast.unparse(value.func) in (
            "list",
            "dict",
            "set",
            "deque",
            "sorted",
            "dict.fromkeys",
        )
    # `waiting = self._input` is a name for something of one's own
    return isinstance(value, ast.Attribute) and ast.unparse(value.value) == "self"


def _is_number(node: ast.AugAssign) -> bool:
    """Whether the right side is made of capability bits."""
    return ast.unparse(node.value).removeprefix("~").startswith("caps.")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_code_around_the_handlers_changes_the_chat_state(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    allowed = {"uses vars"} if path.name == "dispatch.py" else set()  # of the handlers' modules
    found = [line for line in violations(text) if line.partition(": ")[2] not in allowed]
    assert found == []


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) >= 11
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert text.count("@command(") > 30


@pytest.mark.parametrize(
    "statement",
    [
        "context.user.away = 'x'",
        "user.account = session.account",
        "user.away += 'x'",
        "del user.away",
        "user.away: str = ''",
        "channel.topic, x = '', 1",
        "for user.away in 'abc': pass",
        "with x as channel.topic: pass",
        "channel.topic = y = 1",
        "channel.members[user.id].ranks = set()",
        "channel.modes['k'] = 'x'",
        "del channel.modes['k']",
        "del network.users[1]",
        "services.network.accounts['a'] = 'A'",
        "channel.modes.pop('k')",
        "user.modes.add(letter)",
        "user.modes.discard(letter)",
        "user.modes.update('io')",
        "context.user.sessions.remove(3)",
        "context.services.network.sessions.setdefault(1, user)",
        "user.refresh_author()",
        "network.apply(event)",
        "do = user.modes.add",
        "modes = user.modes; modes.add('i')",
        "modes = set(); modes = user.modes; modes.add('i')",
        "modes = user.modes; modes |= {'i'}",
        "modes = user.modes; modes -= taken",
        "modes = channel.modes; modes['i'] = ''",
        "members.clear()",
        "context.services.started_ms = 1",
        "setattr(user, 'away', '')",
        "object.__setattr__(user, 'away', '')",
        "vars(user).update(x)",
        "user.__dict__['away'] = ''",
        "[user.modes.add('i') for user in users]",
        "later(lambda: channel.bans.clear())",
    ],
)
def test_the_check_finds(statement: str) -> None:
    code = f"def handler(context, message, user, channel, members):\n    {statement}\n"
    assert list(violations(code)) != []


@pytest.mark.parametrize(
    "statement",
    [
        "session.account = account",
        "context.session.sasl = None",
        "session.registration.nick = 'x'",
        "self._lines.append(1)",
        "found = []; found.append(user)",
        "found: list[str] = [n for n in x]; found.extend(y)",
        "table = {}; table[1] = 2",
        "wanted = 0; wanted |= caps.BITS[name]",
        "wanted &= ~caps.BITS[name]",
        "count += 1",
        "context.propose(event)",
        "x = user.modes",
    ],
)
def test_the_check_lets_pass(statement: str) -> None:
    code = f"def handler(self, context, message, user):\n    {statement}\n"
    assert list(violations(code)) == []


# ---- while it runs ----

DEVICE = pki.make_device().certificate.public_bytes(Encoding.DER)
OFFER = "0" * 32

LINES = [
    "JOIN #den,#hall key",
    "JOIN #nowhere, #,0x",
    "TOPIC #den :hello",
    "TOPIC #den",
    "MODE #den",
    "MODE #den +ikl-l key 5",
    "MODE #den +bvo-k *!*@x other bob *",
    "MODE #den b",
    "MODE {nick} +i-o",
    "MODE {nick}",
    "MODE other +i",
    "INVITE bob #den",
    "INVITE",
    "NAMES #den,#hall",
    "LIST",
    "LIST #den",
    "WHO #den",
    "WHO * o",
    "WHOIS bob",
    "USERHOST bob {nick}",
    "ISON bob alice",
    "LUSERS",
    "WHOWAS bob",
    "ACCEPT bob,-bob",
    "WALLOPS :hello",
    "KILL nobody :x",
    "KLINE 1h spammer :spam",
    "KLINE",
    "UNKLINE spammer",
    "DLINE 192.0.2.1",
    "DLINE",
    "UNDLINE 192.0.2.1",
    "STATS k",
    "REHASH",
    "ADMIN",
    "LINKS",
    "MAP",
    "STATS u",
    "ISUPPORT",
    "HELPOP modes",
    "MOTD",
    "VERSION",
    "TIME",
    "INFO",
    "HELP",
    "HELP JOIN",
    "MONITOR + bob,nobody",
    "MONITOR L",
    "MONITOR S",
    "METADATA * SET a b",
    "METADATA * SUB a b",
    "METADATA * LIST",
    "METADATA *ALL SYNC",
    "METADATA * CLEAR",
    "METADATA * UNSUB a",
    "METADATA #den SET a b",
    "AWAY :out",
    "DEVICES",
    "DEVICES END 0",
    "SET always-on on",
    "SET always-on off",
    "CHGHOST bob example.org",
    "CHGHOST bob",
    "MONITOR - bob",
    "MONITOR C",
    "PRIVMSG bob,#den,nobody :hello",
    "NOTICE #den :hello",
    "TAGMSG #den",
    "BATCH +1 draft/multiline #den",
    "@batch=1 PRIVMSG #den :one",
    "@batch=1 PRIVMSG #den :two",
    "BATCH -1",
    "CHATHISTORY LATEST #den * 10",
    "MARKREAD #den timestamp=2000-01-01T00:00:00.000Z",
    "MARKREAD bob",
    "SEARCH text=hello",
    "SEARCH in=#den;from=bob",
    "REDACT #den x",
    "REDACT #none x",
    "CHATHISTORY LATEST #none * 10",
    "CHATHISTORY TARGETS timestamp=1970-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z 9",
    "AWAY",
    "SETNAME :Somebody",
    "NICK {nick}x",
    "NICK {nick}",
    "NICK bob",
    "RENAME #none #other",
    "ROOM INFO #den",
    "ROOM CLAIM #den",
    "ROOM LIST",
    "KICK #den bob,nobody :out",
    "CAP LS 302",
    "CAP LIST",
    "CAP REQ :-echo-message",
    "CAP REQ :nothing",
    "CAP END",
    "USER a b c d",
    "PASS x",
    "SET",
    "SET second-factor on",
    "CERT LIST",
    "CERT ADD",
    "WEBIRC a b c d",
    "OPER root wrong",
    f"OPER root :{PASSWORD}",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE *",
    "AUTHENTICATE SCRAM-SHA-256",
    "AUTHENTICATE !!!",
    f"REGISTER * * :{PASSWORD}",
    "VERIFY a b",
    announce(DEVICE).to_line(),
    "PEER LIST",
    "PEER LOOKUP {nick}",
    f"PEER OFFER {{nick}} * {OFFER}",
    f"PEER ANSWER {OFFER}",
    f"PEER CANDIDATES {OFFER} :192.0.2.1:5000",
    f"PEER TUNNEL {OFFER}",
    f"PEER WITHDRAW {OFFER}",
    "PEER RETRACT",
    "PING x",
    "PONG x",
    "PART #hall :bye",
    "JOIN 0",
    "NONSENSE",
]


def test_between_two_events_the_state_stays_as_it_is(start_relay: Any) -> None:
    """Whatever is said, the state is what the last event has left."""
    cheap = hash_password(PASSWORD, Argon2Parameters(8, 1, 1))
    relay = start_relay(operators=(OperatorConfig("root", cheap),))
    services = relay.relay.services
    network, apply = services.network, services.network.apply
    left = [state_of(network)]
    changed: list[str] = []

    def checked_apply(event: Any) -> Any:
        if state_of(network) != left[0]:
            changed.append(f"before {event}")
        try:
            return apply(event)
        finally:
            left[0] = state_of(network)

    network.apply = checked_apply
    everything = [name for name in caps.BITS if name != "cap-notify"]
    relay.join("bob").ask("JOIN #den")
    for nick in ("alice", "dave"):
        client = relay.join(nick, *everything)
        for line in LINES:
            client.ask(line.format(nick=nick))
            with services.lock:
                if state_of(network) != left[0]:
                    changed.append(f"after {line}")
                    left[0] = state_of(network)
        client.quit()
    assert changed == []
    said = {Message.parse(line).command for line in LINES} | {"QUIT"}
    assert said >= set(services.commands), "a command was not tried"
