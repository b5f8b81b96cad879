"""Where snapshots are kept: each operation is whole, one caller alone takes, and nothing outlives its time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from wavetile.engine.errors import WavetileError
from wavetile.engine.server import ResumeOptions
from wavetile.engine.server.resume import Vault
from wavetile.engine.server.resume.directory import DirectoryStore
from wavetile.engine.server.resume.store import MemoryStore, SnapshotStore


def check_store(store: SnapshotStore) -> None:
    soon_s = time.time() + 60
    assert store.read("aa") is None
    assert not store.take("aa")
    assert not store.replace("aa", b"1", soon_s)
    assert store.read("aa") is None
    store.add("aa", b"1", soon_s)
    assert store.read("aa") == b"1"
    assert store.replace("aa", b"22", soon_s)
    assert store.read("aa") == b"22"
    assert store.take("aa")
    assert not store.take("aa")
    assert not store.replace("aa", b"3", soon_s)
    store.add("bb", b"1", time.time() + 0.05)
    time.sleep(0.1)
    assert store.read("bb") is None


def test_stores_keep_replace_take_once_and_forget(tmp_path: Path) -> None:
    check_store(MemoryStore())
    check_store(DirectoryStore(tmp_path / "kept"))


def test_redis_keeps_replaces_takes_once_and_forgets(redis_url: str) -> None:
    from wavetile.engine.server.resume.redis_store import RedisStore

    check_store(RedisStore(redis_url))


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WavetileError, match="--snapshot-key"):
        Vault(ResumeOptions(store=str(tmp_path)))
    key = tmp_path / "key"
    key.write_text("x" * 40)
    key.chmod(0o644)
    with pytest.raises(WavetileError, match="chmod 600"):
        Vault(ResumeOptions(key=key))
    key.chmod(0o600)
    key.write_text("short")
    with pytest.raises(WavetileError, match="5 characters"):
        Vault(ResumeOptions(key=key))
    key.write_text("x" * 40)
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(WavetileError, match="chmod 700"):
        Vault(ResumeOptions(key=key, store=str(tmp_path / "open")))
