"""What terminals send for Alt with a key, where Textual takes it for something else.

Terminals without the protocol of kitty send Esc and the key. Textual knows some of these sequences
as other keys: Alt+Enter as Enter, so that a text would be sent where a new line was wanted, and Alt
with a digit as what a keyboard of Apple types with it. There is no public way to tell it otherwise;
hence the upper limit of its version in ``pyproject.toml``, and a test.
"""

from __future__ import annotations

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.keys import Keys

__all__ = ["correct_keys"]


def correct_keys() -> None:
    """Have Alt+Enter be Ctrl+J, as it is of no key of its own, and Alt+digit be just that."""
    assert isinstance(ANSI_SEQUENCES_KEYS, dict)
    ANSI_SEQUENCES_KEYS["\x1b\r"] = (Keys.ControlJ,)
    for digit in "0123456789":
        ANSI_SEQUENCES_KEYS.pop(f"\x1b{digit}", None)
