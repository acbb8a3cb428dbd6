"""Values of the configuration as TOML, for the printed file and for messages about mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from securechat.net.listener import format_address

__all__ = ["toml_key", "toml_text"]


def toml_text(value: Any) -> str:
    """Return a value of the configuration as TOML."""
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case Path():
            return json.dumps(str(value), ensure_ascii=False)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():  # texts, or addresses
            return toml_text([v if isinstance(v, str) else format_address(*v) for v in value])
        case list():
            return f"[{', '.join(map(toml_text, value))}]"
        case dict():
            pairs = [f"{toml_key(key)} = {toml_text(item)}" for key, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case _:
            return str(value)


def toml_key(key: str) -> str:
    """Return a key as TOML, quoted if need be."""
    bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)
