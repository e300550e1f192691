"""``record.json``: what an output is made of, readable without Dagster.

*Identity* (inputs, options, code) determines the content; *execution* (when, where, how long) never does, and holds
neither paths nor host names. Checks and figures are kept so that a reused output shows what it showed when it was made.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headwater.assets.storage.content import digest_of

RECORD_FORMAT = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class TableRecord(_Model):
    """One published table: the Lance version, its rows and their content version."""

    version: int
    rows: int
    content: str
    columns: dict[str, str]


class InputRecord(_Model):
    """What was consumed: the content version decides, the identity finds the record again."""

    content: str
    identity: str


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
    """Everything that determines the content of an output, and nothing else."""

    asset: str
    inputs: dict[str, InputRecord]
    options: dict[str, Any]
    code: CodeRecord

    def digest(self) -> str:
        """The identity as 32 hexadecimal digits. Inputs count by content alone."""
        inputs = {name: item.content for name, item in self.inputs.items()}
        return digest_of([self.asset, inputs, self.options, self.code.model_dump()])


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


class Record(_Model):
    """The commit of one output."""

    format: Literal[1] = 1
    asset: str
    kind: str
    pipeline: str
    identity: Identity
    content_version: str
    tables: dict[str, TableRecord] = {}
    files: dict[str, str] = Field(default={}, description="path within the output's folder → SHA-256")
    metrics: dict[str, Any] = {}
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
        if self.digest == wanted.digest():
            return True
        same_but_code = self.identity.model_copy(update={"code": wanted.code}).digest() == wanted.digest()
        return same_but_code and wanted.code in self.accepted_code

    def rows(self, table: str) -> int:
        """Rows of a published table."""
        return self.tables[table].rows
