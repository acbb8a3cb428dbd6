"""The script that draws the client for the README."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "picture.py"


def test_it_draws_a_real_session(tmp_path: Path) -> None:
    picture = tmp_path / "folder" / "client.svg"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(picture)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = picture.read_text(encoding="utf-8").replace("&#160;", " ")
    for words in ("#kitchen", "#garden", "Shall I book the hut?", "Yes, both of them", "carol"):
        assert words in shown
