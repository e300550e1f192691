"""Shards of examples as files: blocks of many examples per `.npy` member, one member per field, memory-mapped in place.

An example is small (a 28 × 28 image is 784 bytes), and a tar member costs 512 bytes of header, padding to as much
again, and an entry to look up. So the members of `<stream>-000000.tar` are, for each block, `<key>.<field>.npy` with
the field of `block_samples` examples (examples first), and `<key>.json` with its numbers: WebDataset iterates it as
batches, and training copies rows from a memory map. Every field has one shape for all examples, shorter arrays are
padded and their lengths are a field of their own; so a row's place is one multiplication. `index.json` has fields,
categories and the byte at which each array begins; which document an example is, the table `spans` says.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import fsspec
import numpy as np

from headwater.assets.sharding.packing import Span
from headwater.assets.sharding.shards import (
    INDEX,
    BlockEntry,
    ShardEntry,
    ShardError,
    TarWriter,
    appears_whole,
    shard_file,
)
from headwater.assets.storage.file_hashes import WholeHash

FORMAT = 1


@dataclass(frozen=True)
class FieldFacts:
    """A stored field: `shape` is of one example, `dtype` of its numbers; what `blank` fills stands for no example."""

    name: str
    kind: str  # array, text, category, number, or length: of the field `length_of`
    dtype: str
    shape: tuple[int, ...] = ()
    blank: float = 0
    image: bool = False  # (channels, height, width)
    length_of: str | None = None
    ragged_axes: tuple[int, ...] = ()  # axes along which examples may be shorter: their extents are <name>_length
    categories: tuple[str, ...] | None = None  # names by number
    cardinality: int | None = None  # whole numbers: the largest plus one
    cardinalities: tuple[int, ...] | None = None  # the same column by column
    vocabulary_size: int | None = None
    end_of_text: int | None = None
    pad: int | None = None
    sample_rate: float | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one example."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def stored(self) -> np.dtype:
        """The type as it lies in the files: little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")


@dataclass(frozen=True)
class ExampleBlock(BlockEntry):
    """A block in the index: `offsets` has, field by field, the byte of the shard where the array's numbers begin."""

    offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExampleShard(ShardEntry):
    """A shard in the index; its `masked` spans are withdrawn examples, whose rows are blank."""

    blocks: tuple[ExampleBlock, ...]


@dataclass(frozen=True)
class ExampleIndex:
    """All shards of a folder. `measured` is what the arrays of the documents were when the shapes were chosen."""

    block_samples: int
    fields: tuple[FieldFacts, ...]
    shards: tuple[ExampleShard, ...]
    measured: Mapping[str, Any]

    sequence_length = 1  # an example is a sample of one place, so that spans and steps are told as for tokens

    def streams(self) -> dict[str, int]:
        """Number of examples of each stream, by name."""
        counts: dict[str, int] = {}
        for shard in self.shards:
            counts[shard.stream] = counts.get(shard.stream, 0) + shard.samples
        return dict(sorted(counts.items()))

    def field(self, name: str) -> FieldFacts:
        """The facts of a field. Raises KeyError that names those there are."""
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(f"examples have no field {name!r}, only {[found.name for found in self.fields]}")

    @property
    def row_bytes(self) -> int:
        """Bytes of one example, all fields together."""
        return sum(field.row_bytes for field in self.fields)


@dataclass(frozen=True)
class ExampleRows:
    """Adjoining examples of a stream: for each field an array with examples first; `masked` ones are withdrawn."""

    first_sample: int
    samples: int
    fields: Mapping[str, np.ndarray]
    masked: tuple[Span, ...] = ()


def write_example_shard(
    folder: str, stream: str, number: int, fields: Iterable[FieldFacts], blocks: Iterable[ExampleRows]
) -> ExampleShard:
    """Write one shard; it appears whole or not at all. Returns its entry for the index."""
    file, facts = shard_file(stream, number), tuple(fields)
    entries: list[ExampleBlock] = []
    hashed = WholeHash()
    with appears_whole(f"{folder.rstrip('/')}/{file}") as sink:
        writer = TarWriter(sink, hashed)
        for rows in blocks:
            key = f"{stream}-{number:06d}-{len(entries):04d}"
            entries.append(_write_rows(writer, key, stream, facts, rows))
        writer.close()
    if not entries:
        raise ShardError(f"{file}: no examples to write")
    samples = sum(entry.samples for entry in entries)
    return ExampleShard(file, stream, writer.bytes, hashed.text(), entries[0].first_sample, samples, tuple(entries))


def _write_rows(
    writer: TarWriter, key: str, stream: str, fields: tuple[FieldFacts, ...], rows: ExampleRows
) -> ExampleBlock:
    offsets = []
    for field in fields:
        array = rows.fields[field.name]
        if array.shape != (rows.samples, *field.shape) or array.dtype != np.dtype(field.dtype):
            raise ShardError(f"{key}: {field.name} is {array.dtype}{array.shape}, not {field.dtype}{field.shape} each")
        offsets.append(writer.add_array(f"{key}.{field.name}.npy", array))
    said = {"stream": stream, "first_sample": rows.first_sample, "samples": rows.samples, "masked": rows.masked}
    writer.add(f"{key}.json", json.dumps(said).encode())
    masked = tuple((int(first), int(count)) for first, count in rows.masked)
    return ExampleBlock(key, offsets[0], rows.first_sample, rows.samples, rows.samples, masked, tuple(offsets))


def write_example_index(folder: str, index: ExampleIndex) -> None:
    """Write `index.json`: the file that makes the shards of a folder readable."""
    shards = sorted(index.shards, key=lambda shard: (shard.stream, shard.first_sample))
    content = {
        "format": FORMAT,
        "block_samples": index.block_samples,
        "fields": [asdict(field) for field in index.fields],
        "measured": index.measured,
        "shards": [{name: value for name, value in asdict(shard).items() if name != "parts"} for shard in shards],
    }
    with appears_whole(f"{folder.rstrip('/')}/{INDEX}") as sink:
        sink.write((json.dumps(content, indent=1) + "\n").encode())


def read_example_index(folder: str) -> ExampleIndex:
    """Read `index.json` of a folder or URL. Raises ShardError that says what is wrong with it."""
    url = f"{folder.rstrip('/')}/{INDEX}"
    try:
        with fsspec.open(url, "rb") as file:
            return _parse(json.load(file), url)
    except FileNotFoundError as error:
        raise ShardError(f"{url} does not exist: materialize the shards first") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"{url} is damaged ({error!r}): materialize the shards again") from error


def _parse(content: dict[str, Any], url: str) -> ExampleIndex:
    if "fields" not in content:
        raise ShardError(f"{url} is of shards of tokens, where shards of examples are needed")
    if content["format"] != FORMAT:
        raise ShardError(
            f"{url} has format {content['format']}, this release reads {FORMAT}: materialize the shards again"
        )
    fields = tuple(FieldFacts(**_with_tuples(field)) for field in content["fields"])
    shards = tuple(shard_from_record(shard) for shard in content["shards"])
    return ExampleIndex(content["block_samples"], fields, shards, content["measured"])


def shard_from_record(record: Mapping[str, Any]) -> ExampleShard:
    """The shard that `asdict` made plain values of."""
    blocks = tuple(
        ExampleBlock(**{**block, "masked": tuple(map(tuple, block["masked"])), "offsets": tuple(block["offsets"])})
        for block in record["blocks"]
    )
    return ExampleShard(**{**record, "blocks": blocks, "parts": ()})  # examples are hashed whole


def _with_tuples(field: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in field.items()}


def holds_examples(folder: str) -> bool:
    """Whether a folder's shards are of examples, not of tokens. Raises ShardError when there is no readable index."""
    url = f"{folder.rstrip('/')}/{INDEX}"
    try:
        with fsspec.open(url, "rb") as file:
            return "fields" in json.load(file)
    except FileNotFoundError as error:
        raise ShardError(f"{url} does not exist: materialize the shards first") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ShardError(f"{url} is damaged ({error!r}): materialize the shards again") from error


def data_facts(index: ExampleIndex) -> dict[str, Any]:
    """The sizes that backbones and heads follow where a declaration leaves them out; only those that the fields have.

    - `image_size` (pixels of a side; of images that are not square [height, width]), `channels`: the field `image`, or
      else the first image
    - `columns`: numbers per row of the field `columns`; `categories`: number of values of each column of `categories`
    - `classes`: categories of `label`, or the number of different labels in `node_label`
    - `vocabulary_size`, `context_length`: the field `tokens`, or else the first text
    - `features`: numbers per node of `nodes`, or bands of `spectrogram`; `length`: entries of `audio`, frames of
      `spectrogram`
    """
    fields = {field.name: field for field in index.fields}
    facts: dict[str, Any] = {}
    if image := _first(fields, "image", [f for f in index.fields if f.image]):
        channels, height, width = image.shape
        facts |= {"image_size": height if height == width else [height, width], "channels": channels}
    if text := _first(fields, "tokens", [f for f in index.fields if f.kind == "text"]):
        facts |= {"vocabulary_size": text.vocabulary_size, "context_length": text.shape[0]}
    if "columns" in fields:
        facts["columns"] = fields["columns"].shape[-1]
    if "categories" in fields and fields["categories"].cardinalities is not None:
        facts["categories"] = list(fields["categories"].cardinalities)
    if "label" in fields and (label := fields["label"]).kind in ("category", "array"):
        facts["classes"] = label.cardinality if label.categories is None else len(label.categories)
    elif "node_label" in fields:
        facts["classes"] = fields["node_label"].cardinality
    if "nodes" in fields:
        facts["features"] = fields["nodes"].shape[-1]
    if "audio" in fields:
        facts["length"] = fields["audio"].shape[0]
    if "spectrogram" in fields:
        facts |= {"features": fields["spectrogram"].shape[0], "length": fields["spectrogram"].shape[-1]}
    return facts


def _first(fields: Mapping[str, FieldFacts], name: str, others: list[FieldFacts]) -> FieldFacts | None:
    own = fields.get(name)
    return own if own in others else next(iter(others), None)
