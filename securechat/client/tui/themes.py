"""The colours of the full-screen client: four themes, and the variables that its widgets use.

Beside Textual's own variables (``$background``, ``$text``, ``$accent``, …) each theme has those of
``VARIABLES``. An app sets them up so that no widget needs to know which theme is in use::

    class ChatApp(App[None]):
        def __init__(self) -> None:
            super().__init__()
            for theme in THEMES.values():
                self.register_theme(theme)
            self.theme = DEFAULT_THEME

        def get_theme_variable_defaults(self) -> dict[str, str]:
            return variable_defaults(self)

The defaults also serve while Textual reads the CSS with one of its own themes, before ours are
registered.

``$safe``, ``$caution`` and ``$danger`` are for text on ``$background``. What is to stand on such a
colour says ``color: $safe; background: $background; text-style: reverse``, which has the same
contrast, and works with the terminal's own colours as well.

The theme ``sixteen`` uses nothing but these: the sixteen ANSI colours, and the default of text and
background, whatever the user has made of them. For that, ``App.ansi_color`` must stay ``None``, as
it is unless it is set: Textual then asks the theme (``ansi=True``), and sends colours by their
numbers instead of turning them into 24-bit ones. Such colours cannot be blended: ``$surface`` and
``$panel`` are the background, what has an opacity is drawn without it. There is no grey among them
that can be read everywhere, so ``$muted`` is the default colour there; a component that is muted
says ``text-style: $muted-style`` as well, which makes it dim.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from textual.app import App
from textual.theme import Theme

__all__ = [
    "DEFAULT_THEME",
    "NICK_COLOURS",
    "THEMES",
    "VARIABLES",
    "nick_number",
    "variable_defaults",
]

DEFAULT_THEME: Final = "dark"

NICK_COLOURS: Final = 8
"""How many colours there are for nicks, ``$nick-1`` to ``$nick-8``: more are hard to tell apart."""

_DARK: Final = Theme(
    name="dark",
    dark=True,
    primary="#3568a8",
    secondary="#3568a8",
    accent="#7fb8ff",
    warning="#f5c26b",
    error="#ff8a80",
    success="#8fd694",
    foreground="#dfe2e8",
    background="#16181d",
    surface="#1d2027",
    panel="#272b34",
    variables={
        "nick-1": "#ff9494",
        "nick-2": "#f5b971",
        "nick-3": "#e3d97a",
        "nick-4": "#9ad68a",
        "nick-5": "#66d9d0",
        "nick-6": "#82b9ff",
        "nick-7": "#c2a9ff",
        "nick-8": "#f29bd4",
        "own-nick": "#ffffff",
        "muted": "#9ba3b1",
        "muted-style": "not dim",
        "mention": "#ffd75f",
        "link": "#8ec7ff",
        "line-new": "#ff9e64",
        "safe": "#8fd694",
        "caution": "#f5c26b",
        "danger": "#ff8a80",
        "block-cursor-foreground": "#ffffff",
    },
)

_LIGHT: Final = Theme(
    name="light",
    dark=False,
    primary="#2b62ab",
    secondary="#2b62ab",
    accent="#0b5cad",
    warning="#7a5200",
    error="#b3182b",
    success="#1f6b2d",
    foreground="#1f2328",
    background="#fafafa",
    surface="#f0f1f3",
    panel="#e4e6ea",
    variables={
        "nick-1": "#a61b29",
        "nick-2": "#8a4500",
        "nick-3": "#6b5a00",
        "nick-4": "#1f6b2d",
        "nick-5": "#00666b",
        "nick-6": "#0b5cad",
        "nick-7": "#6a3fb5",
        "nick-8": "#9c2377",
        "own-nick": "#000000",
        "muted": "#59606b",
        "muted-style": "not dim",
        "mention": "#993d00",
        "link": "#0b5cad",
        "line-new": "#a83c14",
        "safe": "#1f6b2d",
        "caution": "#7a5200",
        "danger": "#b3182b",
        "block-cursor-foreground": "#ffffff",
    },
)

_CONTRAST: Final = Theme(
    name="contrast",
    dark=True,
    primary="#0046b8",
    secondary="#0046b8",
    accent="#66ccff",
    warning="#ffd21f",
    error="#ff9d9d",
    success="#5cff7a",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#161616",
    variables={
        "nick-1": "#ffabab",
        "nick-2": "#ffb454",
        "nick-3": "#ffff66",
        "nick-4": "#7dff7d",
        "nick-5": "#4dffff",
        "nick-6": "#99ccff",
        "nick-7": "#d6bfff",
        "nick-8": "#ff9ef2",
        "own-nick": "#ffffff",
        "muted": "#cccccc",
        "muted-style": "not dim",
        "mention": "#ffe600",
        "link": "#66ccff",
        "line-new": "#ffb454",
        "safe": "#5cff7a",
        "caution": "#ffd21f",
        "danger": "#ff9d9d",
        "block-cursor-foreground": "#ffffff",
        # Textual's own are more transparent.
        "text": "auto 100%",
        "text-muted": "auto 80%",
        "text-disabled": "auto 70%",
        "foreground-muted": "#cccccc",
        "border": "#ffffff",
        "border-blurred": "#999999",
    },
)

_SIXTEEN: Final = Theme(
    name="sixteen",
    ansi=True,
    dark=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    variables={
        "nick-1": "ansi_red",
        "nick-2": "ansi_green",
        "nick-3": "ansi_yellow",
        "nick-4": "ansi_blue",
        "nick-5": "ansi_magenta",
        "nick-6": "ansi_cyan",
        "nick-7": "ansi_bright_blue",
        "nick-8": "ansi_bright_magenta",
        "own-nick": "ansi_default",
        "muted": "ansi_default",
        "muted-style": "dim",
        "mention": "ansi_yellow",
        "link": "ansi_cyan",
        "line-new": "ansi_red",
        "safe": "ansi_green",
        "caution": "ansi_yellow",
        "danger": "ansi_red",
        "ansi-foreground": "ansi_default",
        "ansi-background": "ansi_default",
        # Reversed, it can be read with every palette.
        "block-cursor-foreground": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-text-style": "reverse",
        "border": "ansi_blue",
        "border-blurred": "ansi_default",
        "scrollbar": "ansi_blue",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
    },
)

THEMES: Final = {theme.name: theme for theme in (_DARK, _LIGHT, _CONTRAST, _SIXTEEN)}
"""The themes by their names: ``dark`` and ``light`` (all text at least 4.5:1, WCAG AA),
``contrast`` (7:1, AAA) and ``sixteen`` (the terminal's own colours)."""

VARIABLES: Final = (
    *(f"nick-{number}" for number in range(1, NICK_COLOURS + 1)),
    "own-nick",
    "muted",
    "muted-style",
    "mention",
    "link",
    "line-new",
    "safe",
    "caution",
    "danger",
)
"""What each theme has beyond Textual's own. All are colours but ``muted-style``, a text style that
goes with ``muted`` and may stand beside others, ``$muted-style italic``."""


def variable_defaults(app: App[Any]) -> dict[str, str]:
    """Return ``VARIABLES`` for the theme in use; for one that is not ours, those that fit it."""
    theme = app.current_theme
    if theme.name not in THEMES:
        theme = _SIXTEEN if theme.ansi else _DARK if theme.dark else _LIGHT
    else:
        theme = THEMES[theme.name]
    return {name: theme.variables[name] for name in VARIABLES}


def nick_number(nick: str) -> int:
    """Return the number of the nick's colour, 1 to ``NICK_COLOURS``: the same in each run, and in
    any case.
    """
    return zlib.crc32(nick.casefold().encode("utf-8", "replace")) % NICK_COLOURS + 1
