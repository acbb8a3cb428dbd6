"""Where this user's downloads go."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from securechat.client.words.translation import gettext_noop
from securechat.errors import ConfigError

__all__ = ["default_downloads"]

_FOLDER: Final = re.compile(r'XDG_DOWNLOAD_DIR="(\$HOME/|/)([^"$`\\]*)"')
"""The line of ``user-dirs.dirs`` that names it: below the home, or absolute. The file is for a
shell; what only a shell could read is not taken."""


def default_downloads() -> Path:
    """Return the folder for downloads, unless another one is named: ``~/Downloads``, or what the
    desktop's ``user-dirs.dirs`` says.

    :raises ConfigError: the user has no home.
    """
    try:
        home = Path.home()
    except RuntimeError as error:
        problem = gettext_noop("there is no home folder: name one with --downloads")
        raise ConfigError([problem]) from error
    # XDG Base Directory Specification: a relative path is invalid and to be ignored.
    config = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not config.is_absolute():
        config = home / ".config"
    try:
        lines = (config / "user-dirs.dirs").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    for line in lines:
        found = _FOLDER.fullmatch(line.strip())
        # A folder that was switched off is set to the home itself.
        if found is not None and found[2]:
            return (home if found[1] != "/" else Path("/")) / found[2]
    return home / "Downloads"
