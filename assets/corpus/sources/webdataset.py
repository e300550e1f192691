"""WebDataset tars: neighbouring members with one key are one sample.

The naming rule is the webdataset library's: the key is the member's path up to the first dot of its last component,
the extension is the rest, in lower case. The tar itself is read by Python's tarfile as a stream; importing the
library would load torch into every reading process, and its iterator reads images and video that no text needs.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any

from headwater.assets.corpus.options import ReadLimits, WebDataset
from headwater.assets.corpus.sources.jsonl import NotAnObject, parse_object, record_of_object
from headwater.assets.corpus.sources.mapped import Keys, fields_of
from headwater.assets.corpus.sources.opening import ChunkFile, Truncated, open_chunks
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceFile,
    Undecodable,
    decode,
    dropped,
    record_of_text,
    too_large,
)

_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]*)", re.DOTALL)
# Members such as __pax__/..., which the webdataset library passes over too.
_PRIVATE = re.compile(r"__[^/]*__($|/)")


@dataclass
class _Sample:
    """The members of the sample under way that are needed; None for one too large to read."""

    key: str
    number: int
    members: dict[str, bytes | None] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def has(self, extensions: set[str]) -> bool:
        """Whether all these members were met."""
        return extensions <= self.sizes.keys()


def read(source: WebDataset, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """One record per sample, known by its key."""
    keys = Keys()
    samples = _Samples(source, limits)
    fault: str | None = None
    with open_chunks(file) as chunks:
        try:
            for sample in samples.of(ChunkFile(chunks)):
                yield _record(source, file, sample, keys, limits)
        except (tarfile.TarError, Truncated) as error:
            fault = str(error)
    if samples.current is not None and (fault is None or samples.current.has(samples.wanted)):
        yield _record(source, file, samples.current, keys, limits)
    if fault is not None:
        detail = f"{file.uri}, after {samples.count:,} samples, near byte {samples.offset:,} of the tar: {fault}"
        yield dropped(f"row={samples.count}&cut", 0, "truncated", detail)


class _Samples:
    """Groups neighbouring members by key."""

    def __init__(self, source: WebDataset, limits: ReadLimits) -> None:
        self.wanted = {name for name in (source.text_member, source.meta_member) if name}
        self._limit = limits.max_bytes
        self.current: _Sample | None = None
        self.count = 0
        self.offset = 0

    def of(self, file: ChunkFile) -> Iterator[_Sample]:
        """All samples but the last, which is left in `current`.

        Raises tarfile.TarError or Truncated where the tar is cut off or damaged.
        """
        stream = BufferedReader(file)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # tarfile remembers every member otherwise
                self.offset = member.offset
                if (finished := self._take(tar, member)) is not None:
                    yield finished
            self.offset = tar.offset
        # tarfile takes a missing end mark, or bytes that are no header, for the end of the archive.
        if file.position < self.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the end mark of the archive is missing")
        while rest := stream.read(1 << 16):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("bytes that belong to no member follow")

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> _Sample | None:
        """Add a member; returns the sample before it when the member begins a new one."""
        match = _NAME.fullmatch(member.name)
        if not member.isreg() or match is None or _PRIVATE.match(member.name):
            return None
        key, extension = match.group(1), match.group(2).lower()
        content = self._content(tar, member) if extension in self.wanted else None
        finished = None
        if self.current is None or self.current.key != key:
            finished, self.current = self.current, _Sample(key, self.count)
            self.count += 1
        self.current.sizes[extension] = member.size
        if extension in self.wanted:
            self.current.members[extension] = content
        return finished

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
        if member.size > self._limit:
            return None
        extracted = tar.extractfile(member)
        return extracted.read() if extracted is not None else b""


def _record(source: WebDataset, file: SourceFile, sample: _Sample, keys: Keys, limits: ReadLimits) -> ReadRecord:
    extension = source.text_member
    key = keys.of(sample.key, f"row={sample.number}")
    where, size = f"{file.uri}, sample {sample.key}", sample.sizes.get(extension, 0)
    if extension not in sample.sizes:
        found = ", ".join(list(sample.sizes)[:8])
        detail = f"{where}: no member .{extension} (members: {found}); set text_member"
        return dropped(key, 0, "missing_text", detail)
    raw = sample.members[extension]
    if raw is None:
        return too_large(key, size, limits.max_bytes, where)
    try:
        fields = _fields(source, sample)
        text = decode(raw.removeprefix(b"\xef\xbb\xbf"), source.encoding_errors)
    except Undecodable as fault:
        return dropped(key, size, "not_utf8", f"{where}, member .{extension}: {fault} of the member")
    except ValueError as fault:
        return dropped(key, size, "not_json", f"{where}, member .{source.meta_member}: {fault}")
    if extension.endswith("json"):
        return _of_json(source, key, text, size, where, fields)
    return record_of_text(key, text, size, where, fields)


def _fields(source: WebDataset, sample: _Sample) -> dict[str, Any]:
    raw = sample.members.get(source.meta_member) if source.meta_member else None
    return fields_of(parse_object(decode(raw, "drop")), source) if raw else {}


def _of_json(source: WebDataset, key: str, written: str, size: int, where: str, fields: dict[str, Any]) -> ReadRecord:
    try:
        record = parse_object(written)
    except ValueError as fault:
        rule = "not_an_object" if isinstance(fault, NotAnObject) else "not_json"
        return dropped(key, size, rule, f"{where}: {fault}", fields)
    found = record_of_object(record, key, size, where, source, source.encoding_errors)
    return found._replace(fields={**found.fields, **fields})
