"""What people say to a relay: words, and lines made of them by the syntax of the commands."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from securechat.irc.capabilities import BITS
from securechat.irc.sasl import plain_response
from securechat.server.commands import COMMANDS
from tests.fuzzing.memory_parts import PASSWORD

__all__ = ["NAMES", "PLAIN", "WORDS", "escape", "make_line", "make_script"]

NAMES: Final = ("ann", "bob", "cat", "cat", "dan", "eve", "web", "gate")
"""Who is behind each of the eight connections."""

PLAIN: Final = base64.b64encode(plain_response("cat", PASSWORD)).decode()

_CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "nick": ("ann", "bob", "cat", "dan", "eve", "ANN", "{nick}", "[x]", "ghost", "1x",
             "relay.test"),
    "channel": ("#a", "#b", "#A", "#c", "#own", "#ä", "&a", "#", "@#a", "+#b", "#" + "x" * 70),
    "account": ("cat", "dan", "Eve", "ann", "*", "new"),
    "mask": ("*!*@*", "ann!*@*", "a:cat", "m:*!*@*", "m:a:dan", "*@192.0.2.*",
             "192.0.2.0/24", "::1"),
    "text": ("hello", ":two words", ":", ":\x01ACTION waves\x01", ":\x01PING 1\x01",
             ":é日😀", ":" + "x" * 450),
    "modes": ("+o", "-o", "+b", "+b-b", "+kl", "-k", "+imnst", "+qahv", "+I", "+e", "+M", "+R",
              "+C", "+B", "+i", "+w", "-o+v", "+z", "b", "+ooooooooooooo"),
    "number": ("0", "1", "2", "10", "-1", "99999999999999999999", "x"),
    "reference": ("*", "msgid={msgid}", "msgid={old}", "msgid=x",
                  "timestamp=2023-11-14T23:36:40.000Z", "timestamp=x",
                  "timestamp=9999-12-31T23:59:59.999Z"),
    "key": ("k", "avatar", "display-name", "*", "-x", "a" * 70),
    "id": ("0" * 32, "1" * 32, "a" * 32, "x"),
    "candidate": (":192.0.2.1:5000", ":[2001:db8::1]:5000 10.0.0.1:6000", ":x"),
}  # fmt: skip


def _read_lines() -> dict[str, list[str]]:
    """Return the lines that a random word would hardly make, by their command."""
    text = (Path(__file__).parent / "relay_lines.txt").read_text(encoding="utf-8")
    text = text.replace("{plain}", PLAIN).replace("{password}", PASSWORD)
    lines = text.splitlines()
    for name in BITS:
        lines += [f"CAP REQ :{name}", f"CAP REQ :-{name}"]
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(line.partition(" ")[0], []).append(line)
    return found


_LINES: Final = _read_lines()

_TAGS: Final = (
    "label=L{n}", "label=L{n}", "label=L{n};+typing=active", "+reply={msgid}", "+draft/react=x",
    "batch=m", "batch=m;draft/multiline-concat", "batch=n", "label=" + "x" * 65, "+a=" + "x" * 300,
    "securechat/certificate={certificate}", "label=L{n};batch=m", "+a=\\:\\s;+b", "time=x;msgid=y",
)  # fmt: skip

_PARAMETER: Final = re.compile(r"[\[{]?[^<]*<([^>]*)>")


def _make_words() -> tuple[str, ...]:
    words = ["@label=L{n} ", "@batch=m ", "{msgid}", "{old}", "{nick}", "{token}", PLAIN, *COMMANDS]
    for choices in _CLASSES.values():
        words += [word for word in choices if len(word) < 40]
    words += ["echo-message", "labeled-response", "batch", "message-tags", "LS 302", "REQ :", "END"]
    return tuple(dict.fromkeys(words))[:127]


WORDS: Final = _make_words()
"""What the bytes from 0x80 on stand for in a script; 0xFF is an escape."""


def _class_of(name: str) -> tuple[str, ...]:
    for key, words in _CLASSES.items():
        if key in name:
            return words
    if name == "room":
        return _CLASSES["channel"]
    return _CLASSES["text"] if name in ("reason", "topic", "real name") else WORDS


def _parameters(random: Random, syntax: str) -> str:
    """Make parameters up by the syntax that HELP shows."""
    branch = random.choice(syntax.split(" | "))
    said = []
    for part in branch.split(" ")[1:]:
        if part.startswith("[") and random.random() < 0.4:
            break
        found = _PARAMETER.match(part)
        if found is None:
            said.append(part.strip("[]{}"))
            continue
        word = random.choice(_class_of(found[1]))
        if "{,<" in part and random.random() < 0.3:
            word = f"{word},{random.choice(_class_of(found[1]))}"
        said.append(word)
    return " ".join(said)


_NAMES_OF_COMMANDS: Final = tuple(COMMANDS)
_OFTEN: Final = (
    "JOIN",
    "PRIVMSG",
    "MODE",
    "CAP",
    "BATCH",
    "CHATHISTORY",
    "NICK",
    "PEER",
    "AUTHENTICATE",
)


def make_line(random: Random) -> str:
    """Return a line that a client might say, or nearly."""
    name = random.choice(_OFTEN if random.random() < 0.4 else _NAMES_OF_COMMANDS)
    known = _LINES.get(name)
    if known is not None and random.random() < 0.7:
        line = random.choice(known)
    elif name in ("PRIVMSG", "NOTICE", "TAGMSG"):
        target = random.choice(_CLASSES["channel" if random.random() < 0.6 else "nick"])
        line = f"{name} {target} {random.choice(_CLASSES['text'])}"
    else:
        line = f"{name} {_parameters(random, COMMANDS[name].syntax)}"
    if random.random() < 0.4:
        line = f"@{random.choice(_TAGS)} {line}"
    return line


_OTHER_STEPS: Final = (
    "-{s}", "-{s}", "?{s}", "~1", "~1", "~61", "~400", "~100000", "s", "p", ".", "!", "|", "%", "^",
    "={s}PRIVMSG #a :half", "={s}\\r\\nPING x\\r\\n", "+{s}t{token}", "+{s}c", "+{s}w",
)  # fmt: skip


def make_script(random: Random) -> bytes:
    """Return the bytes of a conversation."""
    steps: list[bytes] = []
    slots: Sequence[int] = random.sample(range(8), random.choice((1, 1, 1, 2, 2, 2, 3)))
    if random.random() < 0.25:
        steps.append(b"#%d" % random.randrange(4))
    for _ in range(random.randint(1, 6)):
        slot = random.choice(slots)
        if random.random() < 0.15:
            step = random.choice(_OTHER_STEPS).replace("{s}", str(slot))
        else:
            eager = "0" if random.random() < 0.7 else "a"
            step = chr(ord(eager) + slot) + make_line(random)
        steps.append(escape(step.encode()))
    return b"\n".join(steps)


def escape(line: bytes) -> bytes:
    """Return ``line`` as it is written in a script: the bytes from 0x80 on are words there."""
    return re.sub(rb"[\x80-\xff]", lambda high: b"\xff" + high[0], line)
