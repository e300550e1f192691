"""What every kind of source can state about its documents, and the modality that its kind gives them.

Kept apart from the kinds themselves, so that a data set's own module can derive from it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from headwater.assets.options import Options

Format = Literal["auto", "code", "prose", "data"]
Modality = Literal["text", "image", "audio", "video", "table", "graph"]
EncodingErrors = Literal["drop", "replace"]


class SourceOptions(Options):
    """What every kind of source can state about its documents."""

    modality: ClassVar[Modality] = "text"

    name: str = Field("", description="Name in the `source` column, unique within a corpus; the kind when left out.")
    license: str | None = Field(
        None, description="Licence of documents that name none themselves, as an SPDX identifier such as CC0-1.0."
    )
    format: Format = Field(
        "auto",
        description="What the documents are: code, prose or data. `auto` goes by a file's extension; records inside "
        "JSONL, CSV, Parquet and WARC files count as prose.",
    )
    date: str | None = Field(
        None, description="Date (ISO 8601) of documents that carry none themselves; earlier duplicates are kept."
    )
    encoding_errors: EncodingErrors = Field(
        "drop",
        description="Bytes that are not valid text: `drop` the document and say where, or `replace` each by U+FFFD.",
    )

    @field_validator("date")
    @classmethod
    def _is_a_date(cls, value: str | None) -> str | None:
        from headwater.assets.corpus.sources.records import iso_date  # which knows the options defined here

        if value is not None and "{{" not in value and iso_date(value) is None:
            raise ValueError(f"date is '{value}': write it as 2020-05-31, with a time as ISO 8601 has it, or as a year")
        return value

    @model_validator(mode="before")
    @classmethod
    def _name_defaults_to_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("name"):
            return {**values, "name": values.get("kind") or cls.model_fields["kind"].default}
        return values

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str) -> str:
        if any(character in name for character in "/#\n\t"):
            raise ValueError(f"the source name {name!r} may not contain '/', '#', tabs or line ends")
        return name
