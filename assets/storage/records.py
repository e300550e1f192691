"""``record.json``: what an output is made of, readable without Dagster.

*Identity* (inputs, options, code) determines the content; *execution* (when, where, how long) never does, and holds
neither paths nor host names. Checks and figures are kept so that a reused output shows what it showed when it was made.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headwater.assets.storage.content import ContentSum, digest_of

RECORD_FORMAT = 2


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class TableRecord(_Model):
    """One published table: the Lance version, its rows and their content version.

    ``lanes`` are the sums of row hashes behind the content version, so that rows can be added and taken away.
    """

    version: int
    rows: int
    content: str
    columns: dict[str, str]
    lanes: tuple[int, int]

    @classmethod
    def of(cls, version: int, content: ContentSum, columns: dict[str, str]) -> "TableRecord":
        """The record of a version that holds rows of a known content."""
        lanes = (content.low, content.high)
        return cls(version=version, rows=content.rows, content=content.hex(), columns=columns, lanes=lanes)

    @property
    def sum(self) -> ContentSum:
        """The content as a sum that other rows can be added to or taken from."""
        return ContentSum(self.rows, *self.lanes)


class InputRecord(_Model):
    """What was consumed: the content version decides, the identity finds the record again.

    ``tables`` pins the versions that were read. The same content can lie in another order in a later version, and
    what consumed it is joined to it by position.
    """

    content: str
    identity: str
    tables: dict[str, int] = {}


class CodeRecord(_Model):
    """The step's declared number, the hash of its modules and the versions of libraries that shape content."""

    number: int
    modules: str
    libraries: dict[str, str] = {}


class CheckRecord(_Model):
    """The outcome of one asset check."""

    name: str
    passed: bool
    blocking: bool
    description: str = ""
    metadata: dict[str, Any] = {}


class Identity(_Model):
    """Everything that determines the content of an output, and nothing else.

    ``base`` is the content that the output grew from, where its history shapes it: token streams and shards only
    ever append, and a continued training starts from an earlier checkpoint.
    """

    asset: str
    inputs: dict[str, InputRecord]
    options: dict[str, Any]
    code: CodeRecord
    base: str | None = None

    def digest(self) -> str:
        """The identity as 32 hexadecimal digits. Inputs count by content alone."""
        inputs = {name: item.content for name, item in self.inputs.items()}
        grown = [] if self.base is None else [self.base]
        return digest_of([self.asset, inputs, self.options, self.code.model_dump(), *grown])

    def plain(self) -> "Identity":
        """The identity without what it grew from: what a declaration and its inputs ask for."""
        return self.model_copy(update={"base": None})

    def recipe(self, besides: tuple[str, ...] = ()) -> str:
        """Digest of options and code alone, `besides` some options: outputs with the same one differ by inputs only."""
        options = {name: value for name, value in self.options.items() if name not in besides}
        return digest_of([self.asset, options, self.code.model_dump()])


class StepRecord(_Model):
    """What one step of a stage did: partitions computed and taken over from a killed run, and what they cost.

    `rows` came out of it and `megabytes` of text with them (0 where it tells of none); `cpu_seconds` are of all workers
    and `peak_megabytes` of the one that held most.
    """

    step: str
    parts: int
    taken_over: int
    rows: int
    megabytes: float
    seconds: float
    cpu_seconds: float
    peak_megabytes: int


class Execution(_Model):
    """How an output came to be; never part of an identity."""

    started: str
    seconds: float
    engine: str
    workers: int
    headwater: str
    python: str
    processor: str
    threads: int
    git_commit: str | None = None
    git_dirty: bool | None = None
    lock: str | None = None  # SHA-256 of the file that pins every package
    run: str | None = None  # Dagster's run id
    steps: tuple[StepRecord, ...] = ()


Counts = dict[str, dict[str, int]]


class Record(_Model):
    """The commit of one output."""

    format: Literal[2] = 2
    asset: str
    kind: str
    pipeline: str
    identity: Identity
    content_version: str
    tables: dict[str, TableRecord] = {}
    files: dict[str, str] = Field(
        default={}, description="path within the output's folder → hash: SHA-256, or of parts"
    )
    metrics: dict[str, Any] = {}
    counts: Counts = Field(default={}, description="what a refresh goes on counting from, by source and rule")
    checks: list[CheckRecord] = []
    markdown: dict[str, str] = {}
    plots: dict[str, str] = Field(default={}, description="title → file within the output's folder")
    accepted_code: list[CodeRecord] = Field(default=[], description="code versions accepted as equivalent by command")
    execution: Execution

    @property
    def digest(self) -> str:
        """The identity's hash, which also names the output's folder."""
        return self.identity.digest()

    def serves(self, wanted: Identity) -> bool:
        """Whether this output is what ``wanted`` would give, code versions accepted as equivalent included."""
        own, asked = self.identity.plain(), wanted.plain().digest()
        if own.digest() == asked:
            return True
        return self.accepts(wanted) and own.model_copy(update={"code": wanted.code}).digest() == asked

    def accepts(self, wanted: Identity) -> bool:
        """Whether the code of ``wanted`` is this output's own, or was accepted as equivalent."""
        return wanted.code == self.identity.code or wanted.code in self.accepted_code

    def same_recipe(self, wanted: Identity, besides: tuple[str, ...] = ()) -> bool:
        """Whether only inputs, and options `besides` the others, differ from what ``wanted`` asks for: then a refresh
        may build on this output."""
        own = self.identity.model_copy(update={"code": wanted.code})
        return self.accepts(wanted) and own.recipe(besides) == wanted.recipe(besides)

    def rows(self, table: str) -> int:
        """Rows of a published table."""
        return self.tables[table].rows


def pinned(record: Record, versions: dict[str, int]) -> Record:
    """The record with its tables at the versions that a consumer pinned: the same rows, in the order it read them."""
    if all(record.tables[name].version == version for name, version in versions.items() if name in record.tables):
        return record
    tables = {
        name: table.model_copy(update={"version": versions.get(name, table.version)})
        for name, table in record.tables.items()
    }
    return record.model_copy(update={"tables": tables})
