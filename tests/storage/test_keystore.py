"""The key store: what it keeps, what it forgets, and what a crash or another process does to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage import keystore_file
from storage.keystore import Keystore
from storage.master_keys.key_file import KeyFileMasterKey


@pytest.fixture
def master(tmp_path: Path) -> KeyFileMasterKey:
    return KeyFileMasterKey.create(tmp_path / "a.key")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys" / "keystore.json"


@pytest.fixture
def keystore(path: Path, master: KeyFileMasterKey) -> Keystore:
    made = Keystore.new(path, master)
    made.write_new()
    return made


def refusal(path: Path, master: KeyFileMasterKey) -> FhirError:
    with pytest.raises(FhirError) as refused:
        Keystore.open(path, master)
    return refused.value


def test_opening_again_gives_the_same_keys(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    key = keystore.add_segment_key("s1")
    again = Keystore.open(path, master)
    assert again.lake_id == keystore.lake_id
    assert again.database_key == keystore.database_key
    assert again.segment_key("s1") == key
    assert again.secret("audit") == keystore.secret("audit") != keystore.secret("cursors")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_bytes() + repr(again).encode()
    for secret in (key, again.database_key, again.secret("audit")):
        assert secret not in text
        assert secret.hex().encode() not in text


def test_a_destroyed_key_is_gone_from_the_file_and_from_the_old_one(
    path: Path, keystore: Keystore
) -> None:
    keystore.add_segment_key("s1")
    keystore.add_segment_key("s2")
    kept, wrapped = keystore.segment_key("s2"), json.loads(path.read_bytes())["segments"]["s1"]
    with path.open("rb") as old:
        keystore.destroy_segment_keys(["s1", "never"])
        old.seek(0)
        assert wrapped.encode() not in old.read()
    assert wrapped.encode() not in path.read_bytes()
    assert keystore.segment_names() == {"s2"}
    assert keystore.segment_key("s2") == kept
    with pytest.raises(FhirError, match="Segment s1 cannot be read: its key was destroyed"):
        keystore.segment_key("s1")
    assert {p.name for p in path.parent.iterdir()} == {"keystore.json", "lock"}


def test_a_segment_has_one_key_for_ever(keystore: Keystore) -> None:
    key = keystore.add_segment_key("s1")
    with pytest.raises(FhirError, match="s1 has a key already"):
        keystore.add_segment_key("s1")
    assert keystore.segment_key("s1") == key


def test_keys_are_bound_to_their_lake_and_purpose(
    tmp_path: Path, path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    keystore.add_segment_key("s1")
    keystore.add_segment_key("s2")
    document = json.loads(path.read_bytes())
    names = document["segments"]
    swapped = {**document, "segments": {"s1": names["s2"], "s2": names["s1"]}}
    path.write_text(json.dumps(swapped))
    with pytest.raises(FhirError, match="key of segment s1 is damaged"):
        Keystore.open(path, master).segment_key("s1")
    keys = document["keys"]
    path.write_text(json.dumps({**document, "keys": {**keys, "database": keys["identity"]}}))
    assert refusal(path, master).category == "invalid"
    path.write_text(json.dumps({**document, "lake": "another"}))
    assert refusal(path, master).category == "forbidden"


@pytest.mark.parametrize("name", ["datastore", "keys", "segments", "lake", "format"])
@pytest.mark.parametrize("value", [None, 7, "x", [], {"a": 1}])
def test_a_damaged_file_is_refused(
    path: Path, master: KeyFileMasterKey, keystore: Keystore, name: str, value: object
) -> None:
    document = json.loads(path.read_bytes())
    document[name] = value
    path.write_text(json.dumps(document))
    assert refusal(path, master).category in ("invalid", "not-supported", "forbidden")


def test_rotation_changes_the_master_key_alone(
    tmp_path: Path, path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    key = keystore.add_segment_key("s1")
    other = KeyFileMasterKey.create(tmp_path / "b.key")
    keystore.rotate(other)
    assert refusal(path, master).category == "forbidden"
    again = Keystore.open(path, other)
    assert again.segment_key("s1") == key
    assert again.database_key == keystore.database_key


def test_one_process_rotates_while_another_adds_and_destroys(
    tmp_path: Path, path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    running = Keystore.open(path, master)
    before = running.add_segment_key("before")
    other = KeyFileMasterKey.create(tmp_path / "b.key")
    Keystore.open(path, master).rotate(other)
    after = running.add_segment_key("after")
    running.destroy_segment_keys(["before"])
    assert before != after
    again = Keystore.open(path, other)
    assert again.segment_key("after") == after
    assert again.segment_names() == {"after"}
    assert refusal(path, master).category == "forbidden"


def test_a_new_datastore_key_makes_the_old_one_useless(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    key = keystore.add_segment_key("s1")
    reader = Keystore.open(path, master)
    before = json.loads(path.read_bytes())
    keystore.renew_datastore_key()
    after = json.loads(path.read_bytes())
    keystore.add_segment_key("s2")
    assert Keystore.open(path, master).segment_key("s1") == key
    # A reader of another process follows.
    assert reader.segment_key("s2") == keystore.segment_key("s2")
    for part in ("keys", "segments"):
        assert not set(before[part].values()) & set(after[part].values())
    path.write_text(json.dumps({**after, "datastore": before["datastore"]}))
    assert refusal(path, master).category == "invalid"


def test_the_datastore_key_is_not_renewed_under_a_master_key_that_is_no_more(
    tmp_path: Path, path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    running = Keystore.open(path, master)
    keystore.rotate(KeyFileMasterKey.create(tmp_path / "b.key"))
    before = path.read_bytes()
    with pytest.raises(FhirError) as refused:
        running.renew_datastore_key()
    assert refused.value.category == "forbidden"
    assert path.read_bytes() == before


def test_a_provider_that_does_not_give_back_what_it_took_is_refused(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    class Lossy(KeyFileMasterKey):
        def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
            return b"\0" * 32

    with pytest.raises(FhirError, match="does not give back"):
        keystore.rotate(Lossy(master.path))
    assert Keystore.open(path, master).database_key == keystore.database_key


def test_the_database_key_is_replaced_when_the_swap_is_done(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    old, given = keystore.database_key, []

    def swap(key: bytes) -> None:
        given.append(key)
        during = Keystore.open(path, master)
        assert during.database_keys() == [old, key]

    keystore.renew_database_key(swap)
    (key,) = given
    again = Keystore.open(path, master)
    assert again.database_key == keystore.database_key == key != old
    assert again.next_database_key is None


def test_a_failed_swap_leaves_both_keys_until_it_is_known_which_one_holds(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    old = keystore.database_key

    def swap(_key: bytes) -> None:
        raise OSError

    with pytest.raises(OSError):
        keystore.renew_database_key(swap)
    dropped = Keystore.open(path, master)
    assert dropped.database_key == old
    assert dropped.next_database_key is not None
    dropped.drop_next_database_key()
    assert Keystore.open(path, master).database_keys() == [old]


@pytest.mark.parametrize("step", ["create_file", "rename", "sync_folder", "urandom"])
def test_a_crash_at_any_step_of_a_change_leaves_a_whole_file(
    path: Path,
    master: KeyFileMasterKey,
    keystore: Keystore,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    first = keystore.add_segment_key("s1")

    def fail(*_arguments: object) -> None:
        raise MemoryError

    holder = {"rename": Path, "urandom": os}.get(step, keystore_file)
    with monkeypatch.context() as patched:
        patched.setattr(holder, step, fail)
        with pytest.raises(MemoryError):
            keystore.destroy_segment_keys(["s1"])
    again = Keystore.open(path, master)
    if step in ("create_file", "rename"):
        assert again.segment_key("s1") == first
    else:
        assert again.segment_names() == set()
    second = keystore.add_segment_key("s2")
    assert Keystore.open(path, master).segment_key("s2") == second


def test_readers_never_see_a_half_written_file(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    keystore.add_segment_key("kept")
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                assert "kept" in Keystore.open(path, master).segment_names()
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(60):
        keystore.add_segment_key(str(number))
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_many_processes_lose_none_of_each_others_keys(
    path: Path, master: KeyFileMasterKey, keystore: Keystore
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from storage.master_keys.key_file import KeyFileMasterKey\n"
        "from storage.keystore import Keystore\n"
        "store = Keystore.open(Path(sys.argv[1]), KeyFileMasterKey(sys.argv[2]))\n"
        "for n in range(15): store.add_segment_key(f'{sys.argv[3]}-{n}')"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(master.path), str(number)])
        for number in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    names = Keystore.open(path, master).segment_names()
    assert names == {f"{number}-{n}" for number in range(3) for n in range(15)}


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "destroy", "rotate", "renew", "reopen"]), st.integers(0, 4)),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(changes=CHANGES)
def test_any_order_of_changes_keeps_the_keys_that_should_be_there(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    masters = [KeyFileMasterKey.create(folder / f"{n}.key") for n in range(2)]
    path, current = folder / "keystore.json", 0
    keystore = Keystore.new(path, masters[0])
    keystore.write_new()
    secret, expected = keystore.secret("x"), dict[str, bytes]()
    for change, number in changes:
        name = f"s{number}"
        if change == "add" and name not in expected:
            expected[name] = keystore.add_segment_key(name)
        elif change == "destroy":
            keystore.destroy_segment_keys([name])
            expected.pop(name, None)
        elif change == "rotate":
            current = number % 2
            keystore.rotate(masters[current])
        elif change == "renew":
            keystore.renew_datastore_key()
        elif change == "reopen":
            keystore = Keystore.open(path, masters[current])
        assert keystore.segment_names() == set(expected)
    again = Keystore.open(path, masters[current])
    assert {name: again.segment_key(name) for name in again.segment_names()} == expected
    assert again.secret("x") == secret
