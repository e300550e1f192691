"""A store that is no folder: what needs no file in place works there, from sources to tokens, `gc` and withdrawals too.

Files lie on the disk, but both sides see them as an object store: Lance through its object-store scheme for files,
everything else through an fsspec file system that says it is not local.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import lance
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose, reworded

from headwater.assets.storage.gc import collect
from headwater.assets.storage.gc_options import Retention
from headwater.assets.storage.places import Store, StoreError
from headwater.assets.withdrawal.purging import purge_withdrawn
from headwater.assets.withdrawal.selecting import select_matching
from headwater.assets.withdrawal.verifying import verify_absence
from headwater.assets.withdrawal.withdrawing import withdraw

SCHEME = "file-object-store"
NOTHING_PAST = Retention(keep=0, older_than_days=0, attempt_hours=0)
CANARY = "zugo vemi canaria 48151623 pelu"
DATA = notes(held_out={"share": 0.0}, source={"id_field": "id"}), bytes_tokenizer(), packed()


class ObjectFolder(LocalFileSystem):
    """A folder behind a scheme of its own."""

    protocol = SCHEME

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(str(path).removeprefix(f"{SCHEME}://"))

    def unstrip_protocol(self, name: str) -> str:
        return f"{SCHEME}://{self._strip_protocol(name)}"

    def pipe_file(self, path: str, value: bytes, **options: object) -> None:
        """Writes an object; an object store knows no folders that would have to be made first."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().pipe_file(path, value, **options)


@pytest.fixture
def cloud(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A workspace in a folder with its store in an object store."""
    fsspec.register_implementation(SCHEME, ObjectFolder, clobber=True)
    lab.store = Store(f"{SCHEME}://{tmp_path / 'bucket'}")
    assert not lab.store.is_local
    yield lab
    _registry.pop(SCHEME)


def write(lab: Lab, texts: dict[str, str]) -> None:
    lab.write_jsonl("notes.jsonl", [{"id": name, "text": text} for name, text in texts.items()])


def every_text(lab: Lab) -> str:
    """What all versions of all tables say."""
    said = []
    for table in Path(lab.store.root).rglob("*.lance"):
        if table.is_dir():
            for item in lance.dataset(str(table)).versions():
                rows = lance.dataset(str(table), version=item["version"]).to_table()
                said += [str(rows[name].to_pylist()) for name in rows.column_names if name != "tokens"]
    return "".join(said)


def test_data_stages_refresh_withdraw_and_collect_on_an_object_store(cloud: Lab, tmp_path: Path) -> None:
    texts = {f"d{n}": prose(n) for n in range(20)}
    texts["like"] = reworded(texts["d3"])
    write(cloud, texts | {"secret": f"{prose(90)} {CANARY}."})
    cloud.run(*DATA, until="tokens")
    assert CANARY in every_text(cloud)
    withdraw(cloud.store, select_matching(cloud.store, CANARY, regex=False), "asked", "me", "match", False)
    write(cloud, texts | {"secret": f"{prose(90)} {CANARY}.", "new": prose(91)})
    results = cloud.run(*DATA, until="tokens")
    assert results["packed/tokens"].record.metrics["documents_encoded"] == 1
    purge_withdrawn(cloud.store, False, {})
    collect(cloud.store, NOTHING_PAST, now=datetime.now(UTC) + timedelta(minutes=5))
    assert verify_absence(cloud.store).found == []
    assert CANARY not in every_text(cloud)
    again = Lab(tmp_path / "workspace", tmp_path / "folder")
    write(again, texts | {"new": prose(91)})
    again.run(*DATA, until="tokens")
    kept, expected = (lab.table("packed/tokens", "spans", ["doc_id"])["doc_id"].to_pylist() for lab in (cloud, again))
    assert sorted(kept) == sorted(expected)


def test_shards_say_that_they_need_a_folder(cloud: Lab) -> None:
    write(cloud, {f"d{n}": prose(n) for n in range(5)})
    with pytest.raises(StoreError, match="Set HEADWATER_STORE to a folder"):
        cloud.run(*DATA)
    assert cloud.record("packed/tokens").metrics["documents"] == 5
