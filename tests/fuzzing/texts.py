"""What reads texts: messages and what is in them, the configuration, invite links.

The first byte of an input for ``run_parser`` says what else is to be done with the message.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from securechat.errors import (
    ConfigError,
    InviteLinkError,
    LocalProtocolError,
    RemoteProtocolError,
)
from securechat.invite_link import (
    LINK_CHARS,
    explain_invite_link,
    format_invite_link,
    parse_invite_link,
)
from securechat.irc.batch import BatchCollector
from securechat.irc.casemapping import fold
from securechat.irc.ctcp import has_request, parse_ctcp
from securechat.irc.extbans import covers, normalise_list_mask
from securechat.irc.formatting import strip_formatting
from securechat.irc.isupport import Isupport, format_tokens
from securechat.irc.masks import matches, normalise_mask
from securechat.irc.message import MAX_PARAMS, Message, split_source
from securechat.irc.modes import CHANNEL_MODES, format_modes, parse_modes
from securechat.irc.multiline import combined_text, cut_pieces, join_pieces, split_pieces
from securechat.irc.names import clean_username, is_channel_name, is_host, is_nick
from securechat.irc.peering import parse_candidates, parse_signal
from securechat.irc.tags import format_tags, parse_tags
from securechat.irc.text import cut_text, split_text
from securechat.server.config import Config
from securechat.server.config_file import load_config, print_default_config

__all__ = ["run_config", "run_invites", "run_parser"]

_OURS: Final = re.compile("[A-Z]+|[0-9]{3}")


def run_parser(data: bytes) -> None:
    line = data[1:].decode(errors="replace")
    try:
        message = Message.parse(line)
    except RemoteProtocolError:
        message = None
    if message is not None:
        _check_message(message)
    _CHECKS[data[0] % len(_CHECKS) if data else 0](line, message)


def _check_message(message: Message) -> None:
    assert re.fullmatch("[^: ][^ ]*", message.command)
    assert not any(" " in param or not param for param in message.params[:-1])
    assert len(split_source(message.source or "")) == 3
    if _OURS.fullmatch(message.command) and len(message.params) <= MAX_PARAMS:
        assert Message.parse(message.to_line()) == message
    else:
        try:
            message.to_line()
        except LocalProtocolError:
            return
        raise AssertionError("not ours, and can be sent")


def _tags(line: str, message: Message | None) -> None:
    tags = parse_tags(line)
    try:
        assert parse_tags(format_tags(tags)) == tags
    except LocalProtocolError:
        assert any(" " in key for key in tags)


def _multiline(line: str, message: Message | None) -> None:
    text = line.replace("\\n", "\n").replace("\\r", "\r")
    pieces = split_pieces(text)
    assert join_pieces(pieces) == text
    assert combined_text(text).count("\n") == sum(not piece.concat for piece in pieces) - 1
    lines = line.replace("\r", "").split("\n")
    limit = 4 + len(line) % 60
    cut = cut_pieces(lines, limit)
    assert all(len(piece.text.encode()) <= limit for piece in cut)
    assert combined_text(join_pieces(cut)) == "\n".join(lines)


def _isupport(line: str, message: Message | None) -> None:
    told = Isupport()
    told.update(line.split(" "))
    assert told.fold(told.fold(line)) == told.fold(line)
    assert told.channel_modes.prefix == "".join(told.prefixes)
    for token in line.split(" "):
        key = token.partition("=")[0]
        assert told.number(key, -1) >= -1
        if key in told:
            value = told.get(key)
            again = Isupport()
            again.update(format_tokens({key: value}))
            assert key.startswith("-") or again.get(key) == value


def _ctcp(line: str, message: Message | None) -> None:
    found = parse_ctcp(line)
    assert found is None or found[0] == found[0].upper() != ""
    has_request(line)
    plain = strip_formatting(line)
    assert len(plain) <= len(line)


def _masks(line: str, message: Message | None) -> None:
    mask, _, text = line.partition(" ")
    complete = normalise_mask(mask)
    assert normalise_mask(complete) == complete
    listed = normalise_list_mask(mask)
    assert normalise_list_mask(listed) == listed
    assert matches("*", text)
    if not {"*", "?"} & set(text):
        assert matches(text, text)
    if matches(mask, text):
        assert matches(f"{mask}*", f"{text}more")
    covers(mask, text, mask or None)


def _modes(line: str, message: Message | None) -> None:
    modestring, *params = line.split(" ")
    changes = parse_modes(modestring, params, CHANNEL_MODES)
    assert len(changes) == len(modestring) - modestring.count("+") - modestring.count("-")
    said = format_modes(changes)
    if all(CHANNEL_MODES.kind(change.letter) for change in changes):
        again = parse_modes(said[0], said[1:], CHANNEL_MODES)
        lacking = [n for n, change in enumerate(changes) if change != again[n]]
        # A letter that lacks its parameter takes that of a later one.
        assert not lacking or any(
            change.param is None and CHANNEL_MODES.kind(change.letter) != "flag"
            for change in changes
        )


def _names(line: str, message: Message | None) -> None:
    user = clean_username(line, 20)
    assert 1 < len(user) <= 20
    assert not {" ", "!", "@"} & set(user)
    for legal in (is_nick(line, 30), is_channel_name(line, 64), is_host(line, 63)):
        if legal:
            assert Message.parse(Message("X", (line, "y")).to_line()).params == (line, "y")
    assert fold(fold(line)) == fold(line)


def _split(line: str, message: Message | None) -> None:
    limit = 4 + len(line) % 50
    pieces = split_text(line, limit)
    assert all(len(piece.encode()) <= limit for piece in pieces)
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    cut = cut_text(line, limit)
    assert line.startswith(cut)
    assert len(cut.encode()) <= limit


def _signals(line: str, message: Message | None) -> None:
    try:
        if message is not None:
            parse_signal(message)
        found = parse_candidates(line)
    except RemoteProtocolError:
        return
    assert parse_candidates(" ".join(map(str, found))) == found


def _batches(line: str, message: Message | None) -> None:
    collector = BatchCollector()
    for part in line.split("|"):
        try:
            collector.feed(Message.parse(part))
        except RemoteProtocolError:
            continue
        assert collector._held >= 0


_CHECKS: Final[tuple[Callable[[str, Message | None], None], ...]] = (
    _tags,
    _multiline,
    _isupport,
    _ctcp,
    _masks,
    _modes,
    _names,
    _split,
    _signals,
    _batches,
)


class _Text:
    """A file that holds ``data``."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_text(self, encoding: str) -> str:
        return self._data.decode(encoding)

    def __str__(self) -> str:
        return "made-up.toml"


def _load(data: bytes) -> Config | None:
    file: Any = _Text(data)
    path: Path = file
    try:
        return load_config(path)
    except ConfigError:
        return None


def run_config(data: bytes) -> None:
    config = _load(data)
    if config is not None:
        again = _load(print_default_config(config).encode())
        assert again is not None
        assert (
            dataclasses.replace(again, operators=config.operators, webirc=config.webirc) == config
        )


def run_invites(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        link = parse_invite_link(text)
    except InviteLinkError:
        return
    said = format_invite_link(link)
    assert len(text) <= LINK_CHARS + text.count(" ") or not text.isascii()
    if len(said) <= LINK_CHARS:
        assert parse_invite_link(said) == link
    assert said.isascii()
    explained = explain_invite_link(link, "PEM" if link.ca else "")
    assert not link.room or f"/join {link.room}" in explained
