"""Reading all records of a source, as the tests of every reader need it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headwater.assets.corpus.options import ReadLimits, Source
from headwater.assets.corpus.reading import ReadRecord, list_files, read_file

Reader = Callable[..., list[ReadRecord]]


@pytest.fixture(scope="session")
def records_of() -> Reader:
    def read(source: Source, workspace: Path = Path(), limits: ReadLimits | None = None) -> list[ReadRecord]:
        files = list_files(source, workspace)
        return [record for file in files for record in read_file(source, file, limits or ReadLimits())]

    return read
