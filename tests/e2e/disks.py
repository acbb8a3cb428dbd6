"""Small disks of a test, which get full, or cannot be written any more, without harm to others.

Each is mounted in a mount namespace of its own: it cannot be seen from outside, and is gone with
the last process in there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.e2e.children import ROOT, TIMEOUT_S

TMPFS = "mount -t tmpfs -o size=3m disk {folder}"

EXT4 = "truncate -s 16M {folder}.img && mkfs.ext4 -q {folder}.img && mount {folder}.img {folder}"


class Disk:
    """A disk mounted at ``folder``, for the commands that are run in its namespace.

    :param mount: what mounts it: ``TMPFS``, or ``EXT4`` in a file.
    """

    def __init__(self, folder: Path, mount: str) -> None:
        self.folder = folder
        folder.mkdir()
        mounting = f"{mount.format(folder=folder)} >&2 && echo mounted && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mounting],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            _, reason = self._holder.communicate(timeout=TIMEOUT_S)
            raise OSError(reason.strip())

    @property
    def command(self) -> list[str]:
        """What runs a command there, by being put before it."""
        return ["nsenter", "--target", str(self._holder.pid), "--mount", f"--wdns={ROOT}"]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=check,
        )

    def close(self) -> None:
        self._holder.communicate(timeout=TIMEOUT_S)


def skip_without(programs: Iterable[str]) -> None:
    """Skip the test where a disk cannot be mounted, and say why."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no disk of one's own: {' and '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("no disk of one's own: only root may mount one")


def make_disk(folder: Path, mount: str) -> Disk:
    """Return a disk; skip the test where there can be none, and say why."""
    skip_without(["unshare", "nsenter", *(["mkfs.ext4", "chattr"] if mount is EXT4 else [])])
    try:
        return Disk(folder, mount)
    except OSError as error:
        pytest.skip(f"no disk of one's own: {error}")
