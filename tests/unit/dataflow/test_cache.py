"""The cache keeps what it is given, in order, and gives it back as it was."""

from __future__ import annotations

import asyncio
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rocksdict

from pichannels import clock
from pichannels.adapters.rocks import CacheClosed, CacheError
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.interfaces import Key
from pichannels.errors import CodecError, SettingsError, UsageError
from pichannels.testing import ManualClock
from pichannels.values import DigitalState

VALUES: list[Any] = [
    "text",
    b"bytes",
    1,
    2**70,
    1.5,
    True,
    None,
    [1, {"a": (2, 3)}],
    datetime(2026, 3, 1, tzinfo=UTC),
    DigitalState("Open", 1),
]


@pytest.fixture
def mixed(cache: Cache) -> Cache:
    """Keys of all types, some of which look alike as text."""
    for key in (b"a", b"a\xff", b"b", "a", "ab", "b", -1, 1, 2, 10, 100, 1.5, True):
        cache[key] = str(key)
    return cache


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(cache: Cache, value: Any) -> None:
    cache["key"] = value
    assert cache["key"] == value and type(cache["key"]) is type(value)


def test_what_is_not_there_is_none(cache: Cache) -> None:
    assert (cache["nothing"], cache.get("nothing", 5)) == (None, 5)


def test_several_keys_are_read_at_once(cache: Cache) -> None:
    cache["a"], cache["b"] = 1, None
    assert cache[["a", "b", "c"]] == [1, None, None]


def test_a_value_can_be_deleted_and_looked_for(cache: Cache) -> None:
    cache["a"] = cache["b"] = 1
    del cache["a"]
    assert ("a" in cache, "b" in cache, cache.key_may_exist("a")) == (
        False,
        True,
        False,
    )


def test_a_range_is_deleted_without_its_end(cache: Cache) -> None:
    for number in range(5):
        cache[number] = number
    cache.delete_range(1, 4)
    assert list(cache) == [0, 4]


def test_values_without_codec_are_refused(cache: Cache) -> None:
    with pytest.raises(CodecError, match="no codec"):
        cache["a"] = object()
    assert "a" not in cache


def test_pickles_are_never_read(tmp_path: Path) -> None:
    theirs = rocksdict.Rdict(str(tmp_path / "theirs"))
    theirs["a"] = [1]
    assert pickle.loads(pickle.dumps(theirs["a"])) == [1]
    theirs.close()
    with Cache(str(tmp_path / "theirs")) as ours, pytest.raises(CodecError):
        ours["a"]


def test_other_keys_are_refused(cache: Cache) -> None:
    with pytest.raises(UsageError, match="keys are str"):
        cache[("a", 1)] = 1  # type: ignore[index,unused-ignore]


def test_it_is_there_after_it_was_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with Cache(path) as cache:
        cache["a"] = [1]
    with Cache(path) as cache:
        assert cache["a"] == [1]


def test_two_cannot_have_it(cache: Cache) -> None:
    with pytest.raises(CacheError, match="open already, here or in another"):
        Cache(cache.path())


def test_a_closed_cache_says_so(cache: Cache) -> None:
    cache.close()
    with pytest.raises(CacheClosed):
        cache["a"]
    cache.close()


def test_nothing_is_forgotten(tmp_path: Path) -> None:
    """Upstream kept 1,550 of these 20,000."""
    options = rocksdict.Options()
    options.set_write_buffer_size(256 * 1024)
    with Cache(str(tmp_path / "db"), options) as cache:
        for number in range(20_000):
            cache[number] = "x" * 200
        assert sum(1 for _ in cache.keys()) == 20_000


def test_the_oldest_go_where_a_size_is_given(tmp_path: Path) -> None:
    chance = random.Random(7)
    with Cache(str(tmp_path / "db"), target_table_size=2**20) as cache:
        for number in range(20_000):
            cache[number] = chance.randbytes(200)
        cache.flush()
        cache.compact_range()
        kept = list(cache)
    assert len(kept) < 20_000 and kept[-1] == 19_999


WITHOUT = """
import sys
sys.modules["rocksdict"] = None
from pichannels.dataflow import Cache, Proxy
from pichannels.errors import SettingsError
Proxy()
try:
    Cache("db")
except SettingsError as exc:
    sys.stdout.write(str(exc))
"""


def test_without_the_library_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.decode().endswith("pip install 'pichannels[cache]'")


# Iteration


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("a", ["a", "ab"]),
        (b"a", [b"a", b"a\xff"]),
        (b"a\xff", [b"a\xff"]),
        ("", ["a", "ab", "b"]),
        (b"", [b"a", b"a\xff", b"b"]),
        ("c", []),
    ],
)
def test_a_prefix_finds_keys_of_its_type(
    mixed: Cache, prefix: str | bytes, keys: list[Key]
) -> None:
    assert list(mixed.keys(prefix=prefix)) == keys
    assert list(mixed.keys(backwards=True, prefix=prefix)) == keys[::-1]


def test_numbers_have_no_prefix(mixed: Cache) -> None:
    with pytest.raises(UsageError, match="str or bytes"):
        mixed.keys(prefix=1)  # type: ignore[arg-type]


def test_keys_come_in_order_from_where_they_are_asked_for(mixed: Cache) -> None:
    assert list(mixed.keys(from_key=1))[:4] == [1, 2, 10, 100]
    assert list(mixed.keys(backwards=True, from_key=9))[:3] == [2, 1, -1]


def test_items_and_values_go_with_their_keys(mixed: Cache) -> None:
    assert list(mixed.items(prefix="a", backwards=True)) == [("ab", "ab"), ("a", "a")]
    assert list(mixed.values(prefix="a", from_key="aa")) == ["ab"]


def test_prefixes_find_what_a_search_through_all_finds(cache: Cache) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    letters = "ab\x7f\x80\ud7ff\ue000\U0010ffff"
    words = {
        "".join(chance.choices(letters, k=chance.randrange(4))) for _ in range(200)
    }
    for word in words:
        cache[word] = cache[word.encode()] = 1
    for prefix in chance.choices(sorted(words), k=40):
        found = sorted(word for word in words if word.startswith(prefix))
        assert list(cache.keys(prefix=prefix)) == found
        assert list(cache.keys(True, prefix=prefix)) == found[::-1]
        raw = [word.encode() for word in found]
        assert list(cache.keys(True, prefix=prefix.encode())) == raw[::-1]


def test_a_cursor_moves_by_itself(mixed: Cache) -> None:
    cursor = mixed.iter()
    cursor.seek("ab")
    assert (cursor.valid(), cursor.key(), cursor.value()) == (True, "ab", "ab")


# Wide columns


def test_wide_columns_have_names(cache: Cache) -> None:
    cache.put_entity("boiler", ["name", "rooms"], ["B1", [1, 2]])
    cache["plain"] = 1
    assert cache.get_entity("boiler") == [("name", "B1"), ("rooms", [1, 2])]
    assert list(cache.entities(prefix="b")) == [
        ("boiler", [("name", "B1"), ("rooms", [1, 2])])
    ]
    assert list(cache.columns(backwards=True))[0] == [("", 1)]
    assert (cache.get_entity("none"), cache.get_entity("none", [])) == (None, [])


def test_wide_columns_need_a_name_each(cache: Cache) -> None:
    with pytest.raises(UsageError, match="1 names for 2 values"):
        cache.put_entity("a", ["x"], [1, 2])


def test_a_part_that_is_not_there_is_told(cache: Cache) -> None:
    with pytest.raises(CacheError, match="no part 'none'; create_column_family"):
        cache.get_column_family("none")


# Batches and snapshots


def test_a_batch_is_written_as_one(cache: Cache) -> None:
    part = cache.create_column_family("part")
    cache["old"] = 1
    batch = cache.batch()
    batch["a"] = [1]
    batch.put("a", [2], "part")
    del batch["old"]
    assert (len(batch), cache["a"]) == (3, None)
    cache.write(batch)
    assert (cache["a"], part["a"], cache["old"]) == ([1], [2], None)


def test_a_batch_of_a_part_is_written_to_it(cache: Cache) -> None:
    part = cache.create_column_family("of its own")
    batch = part.batch()
    batch["a"] = 1
    batch.put_entity("b", ["x"], [2])
    part.write(batch)
    assert (part["a"], part.get_entity("b")) == (1, [("x", 2)])
    assert list(cache.keys()) == []


async def test_several_values_are_stored_as_one(cache: Cache) -> None:
    part = cache.create_column_family("of its own")
    with pytest.raises(CodecError):
        await part.store_all({"a": 1, "b": object()})
    await part.store_all({"c": 1, "d": [2]})
    assert list(part.items()) == [("c", 1), ("d", [2])]


def test_a_batch_of_the_library_is_refused_for_its_pickles(cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"cache\.batch"):
        cache.write(rocksdict.WriteBatch())  # type: ignore[arg-type]


def test_a_snapshot_stays_as_it_was(cache: Cache) -> None:
    cache["a"], cache["b"] = [1], None
    snapshot = cache.snapshot()
    cache["a"], cache["c"] = 2, 3
    del cache["b"]
    cache.flush()
    assert (snapshot["a"], "b" in snapshot, "c" in snapshot) == ([1], True, False)
    assert list(snapshot.items()) == [("a", [1]), ("b", None)]
    assert list(snapshot.keys(backwards=True, prefix="a")) == ["a"]


def test_iterations_of_one_snapshot_do_not_disturb_each_other(cache: Cache) -> None:
    for number in range(5):
        cache[number] = number
    snapshot = cache.snapshot()
    pairs = zip(snapshot.keys(), snapshot.keys(backwards=True), strict=True)
    assert list(pairs) == [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0)]
    assert [key for key in snapshot.keys() if 9 not in snapshot] == [0, 1, 2, 3, 4]


# Column families


def test_a_part_has_keys_of_its_own_and_is_there_again(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with Cache(path) as cache:
        cache.create_column_family("part")["a"] = [1]
        assert cache["a"] is None
    assert Cache.list_cf(path) == ["default", "part"]
    with Cache(path) as cache:
        assert cache.get_column_family("part")["a"] == [1]
        cache.drop_column_family("part")
        with pytest.raises(CacheError, match="part"):
            cache.get_column_family("part")


async def test_a_part_publishes_and_has_transactions(cache: Cache) -> None:
    part = cache.create_column_family("part")
    reader = aiter(part)
    async with part.transaction("a"):
        await part("a", 1)
    assert await anext(reader) == ("a", 1)
    assert cache.get_column_family("part") is part


# Time to live


@pytest.fixture
def time() -> Iterator[ManualClock]:
    with clock.use(ManualClock()) as used:
        assert isinstance(used, ManualClock)
        yield used


@pytest.fixture
def brief(tmp_path: Path, time: ManualClock) -> Iterator[Cache]:
    with Cache(str(tmp_path / "brief"), ttl=60) as opened:
        yield opened


def test_a_value_is_gone_when_its_time_is_over(brief: Cache, time: ManualClock) -> None:
    brief["a"] = [1]
    brief.put("b", 2, ttl=10)
    time.advance(10)
    assert (brief["a"], brief["b"], "b" in brief, brief[["a", "b"]]) == (
        [1],
        None,
        False,
        [[1], None],
    )
    assert (list(brief.items()), list(brief)) == ([("a", [1])], ["a"])
    time.advance(50)
    assert list(brief.values()) == []


def test_a_snapshot_knows_what_is_over(brief: Cache, time: ManualClock) -> None:
    brief["a"] = 1
    snapshot = brief.snapshot()
    assert snapshot["a"] == 1
    time.advance(60)
    assert snapshot["a"] is None


def test_a_batch_gives_its_values_the_time_of_the_cache(
    brief: Cache, time: ManualClock
) -> None:
    batch = brief.batch()
    batch["a"] = 1
    brief.write(batch)
    assert brief["a"] == 1
    time.advance(60)
    assert brief["a"] is None


def test_values_of_other_caches_live_for_ever(cache: Cache) -> None:
    with pytest.raises(UsageError, match="live for ever"):
        cache.put("a", 1, ttl=1)


@pytest.mark.parametrize(("first", "then"), [(60, None), (None, 60)])
def test_a_time_to_live_is_not_changed_unseen(
    tmp_path: Path, first: int | None, then: int | None
) -> None:
    """RocksDB would read the time as a part of the value."""
    path = str(tmp_path / "db")
    Cache(path, ttl=first).close()
    with pytest.raises(SettingsError, match="ttl"):
        Cache(path, ttl=then)


# Publishing


async def test_updates_reach_all_readers(cache: Cache) -> None:
    first, second = aiter(cache), aiter(cache)
    await cache("a", 1)
    cache["b"] = 2
    await cache("c", 3)
    for reader in (first, second):
        assert [await anext(reader), await anext(reader)] == [("a", 1), ("c", 3)]
    assert cache[["a", "b", "c"]] == [1, 2, 3]


async def test_a_thread_waits_where_the_disk_cannot_keep_up(tmp_path: Path) -> None:
    """RocksDB stalls here until what is in memory has been written and merged."""
    options = rocksdict.Options()
    options.set_write_buffer_size(64 * 1024)
    options.set_level_zero_slowdown_writes_trigger(1)
    options.set_level_zero_stop_writes_trigger(2)
    options.set_level_zero_file_num_compaction_trigger(2)
    waited = 0
    async with await asyncio.to_thread(Cache, str(tmp_path / "db"), options) as cache:
        for number in range(0, 6000, 10):
            puts = [cache(key, f"{number + key:500}") for key in range(10)]
            tasks = [asyncio.create_task(put) for put in puts]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            waited += cache._slow is not None
            await asyncio.gather(*tasks)
        assert [int(cache[key]) for key in range(10)] == list(range(5990, 6000))
    assert waited > 0


async def test_with_sync_a_write_is_on_the_disk(tmp_path: Path) -> None:
    async with await asyncio.to_thread(Cache, str(tmp_path / "db"), sync=True) as cache:
        await cache("a", 1)
        cache["b"] = 2
        assert cache[["a", "b"]] == [1, 2]


def test_a_cache_is_destroyed(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    Cache(path, ttl=5).close()
    Cache.destroy(path)
    with Cache(path) as cache:
        assert cache["a"] is None


def test_facts_of_the_database_are_told(cache: Cache) -> None:
    cache["a"] = 1
    cache.flush()
    assert (cache.latest_sequence_number(), len(cache.live_files())) == (1, 1)
    assert cache.property_int_value("rocksdb.estimate-num-keys") == 1
