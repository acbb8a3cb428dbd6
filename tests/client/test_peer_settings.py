"""A client whose device, or what it knows of others, cannot be used."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from securechat.client import Client, PeerSettings, PkiError, StoreError


def test_a_file_of_known_peers_that_is_none_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "peers.db").write_text("this is not a database, but longer than its header is")
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(StoreError, match="cannot open"):
        Client("localhost", nick="alice", peers=PeerSettings(tmp_path, tmp_path))
    gc.collect()  # what was not closed would be told of here
    assert len(os.listdir("/dev/fd")) == before


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file")
    with pytest.raises(PkiError, match="cannot make the folder"):
        Client("localhost", nick="alice", peers=PeerSettings(folder, tmp_path))
