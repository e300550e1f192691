"""What a declaration may say about a corpus's sources: where documents lie, what they are called, what is held out.

One class per kind of source, told apart by `kind`. Everything here decides content, so nothing here says how or where
a run is executed. Only pydantic is imported: loading a hundred declarations must stay quick.
"""

import codecs
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from headwater.assets.corpus.datasets.discovery import dataset_choice
from headwater.assets.corpus.source_options import EncodingErrors, Format, Modality, SourceOptions
from headwater.assets.options import Options

__all__ = ["EncodingErrors", "Format", "Modality", "SourceOptions"]


class PathSource(SourceOptions):
    """A source whose documents lie in files found by a path or pattern."""

    path: str = Field(
        description="Path or fsspec URL of the files, with `*`, `?`, `[ab]` and `**` as wildcards; a relative path "
        "starts at the workspace folder. Example: data/**/*.jsonl.gz or s3://bucket/dump/*.parquet."
    )

    @field_validator("path")
    @classmethod
    def _path_is_stated(cls, path: str) -> str:
        if not path.strip():
            raise ValueError("path is empty: name the files, for example data/**/*.jsonl")
        return path


class FileSource(PathSource):
    """Files that are split into training and held-out data by file or by folder."""

    group: Literal["file", "folder"] = Field(
        "file", description="Unit of held-out splitting: each file by itself, or all files of one folder together."
    )


class RecordFields(Options):
    """Which fields of a record (a JSON object, a table row) hold what."""

    text_field: str = Field("text", description="Field that holds the document's text.")
    id_field: str | None = Field(
        None,
        description="Field that identifies a record within its file. With it, inserting a line changes no other "
        "document's identity; without it, records are known by their line or row number.",
    )
    url_field: str | None = Field(None, description="Field with the address that the document came from.")
    date_field: str | None = Field(
        None, description="Field with the document's date: ISO 8601, a year, or a timestamp column of Parquet."
    )
    license_field: str | None = Field(None, description="Field with the document's licence.")
    group_field: str | None = Field(
        None,
        description="Field whose value is the unit of held-out splitting (site, author, package) instead of `group`.",
    )
    meta_fields: tuple[str, ...] = Field((), description="Further fields to keep in the `meta` column.")


class TextFiles(FileSource):
    """Each file is one document; `.gz`, `.zst`, `.bz2` and `.xz` files are decompressed."""

    kind: Literal["text_files"] = "text_files"
    encoding: str = Field("utf-8", description="Character encoding of the files, by its Python name.")
    extensions: tuple[str, ...] = Field(
        (), description="Only files whose names end so, each with its dot, such as .md and .txt; none: all that match."
    )

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f"no character encoding is called {encoding!r}; try utf-8, latin-1 or utf-16") from None
        return encoding


class ImageFiles(PathSource):
    """Each PNG, JPEG, GIF, WebP, BMP or TIFF file is one document with an array `image`; its folder is its label."""

    modality: ClassVar[Modality] = "image"
    kind: Literal["image_files"] = "image_files"
    group: Literal["file", "folder"] = Field(
        "file", description="Unit of held-out splitting: each image by itself, or all images of one folder together."
    )
    label: Literal["folder", "none"] = Field(
        "folder",
        description="Where `meta` gets its `label` from: the name of the folder that holds the image, or none.",
    )
    colours: Literal["L", "LA", "RGB", "RGBA"] = Field(
        "RGB", description="Channels of the array: L is grey, RGB colour, A adds opacity. Others are converted."
    )
    max_side: int | None = Field(
        None,
        ge=1,
        description="Images with a longer side (pixels) are shrunk to it, keeping their shape; null keeps all pixels.",
    )


class JsonLines(FileSource, RecordFields):
    """Each line is a JSON object; plain, `.gz`, `.zst`, `.bz2` or `.xz`."""

    kind: Literal["jsonl"] = "jsonl"


class CsvFiles(FileSource, RecordFields):
    """Each row under the header line is a document; quoting as in RFC 4180; plain or compressed like JSONL."""

    kind: Literal["csv"] = "csv"
    delimiter: str | None = Field(
        None, description="Character between cells; when left out, a tab for .tsv files and a comma for all others."
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
            raise ValueError(f"delimiter is {delimiter!r}: give one ASCII character other than a quote or a line end")
        return delimiter


class ParquetFiles(FileSource, RecordFields):
    """Each row is a document; only the columns named here are read."""

    kind: Literal["parquet"] = "parquet"


class WarcFiles(PathSource):
    """Crawled pages: HTTP responses of status 200 with HTML or plain text, and the text of WET files."""

    kind: Literal["warc"] = "warc"
    group: Literal["site", "file", "folder"] = Field(
        "site", description="Unit of held-out splitting: the page's host name, the WARC file, or its folder."
    )
    main_content: bool = Field(
        True, description="Keep only the main text of an HTML page, without menus, footers and other boilerplate."
    )


class WebDataset(FileSource, RecordFields):
    """Tar files whose neighbouring members with one key (the name up to its first dot) are one sample."""

    kind: Literal["webdataset"] = "webdataset"
    text_member: str = Field(
        "txt",
        description="Extension of the member with the text: `txt`, any other text extension, or one that ends in "
        "`json`, whose `text_field` is then the text.",
    )
    meta_member: str | None = Field(
        None, description="Extension of a JSON member that holds the url, date, licence, group and meta fields."
    )

    @field_validator("text_member", "meta_member")
    @classmethod
    def _without_leading_dot(cls, extension: str | None) -> str | None:
        return extension.lstrip(".").lower() if extension else extension


class InstalledPackages(SourceOptions):
    """The Python standard library and the packages installed beside Headwater: real code and prose on every machine.

    Which packages are taken depends on their names, their sizes and the seed, never on where they are installed or
    on the order in which a file system lists them.
    """

    kind: Literal["installed_packages"] = "installed_packages"
    extensions: tuple[str, ...] = Field(
        (".py", ".md", ".rst", ".txt"), description="File name endings that are read, each with its dot."
    )
    min_bytes: int = Field(200, description="Smaller files are left out (bytes).", json_schema_extra={"minimum": 0})
    max_bytes: int = Field(
        1_000_000, description="Larger files are left out (bytes).", json_schema_extra={"minimum": 1}
    )
    max_megabytes: float | None = Field(
        None,
        description="Budget in megabytes (10^6 bytes). Whole packages are taken in an order drawn by `seed`; one that "
        "no longer fits is passed over and the next is tried. Null takes all.",
        json_schema_extra={"exclusiveMinimum": 0},
    )
    seed: int = Field(0, description="Draws the order in which packages fill the budget.")
    exclude: tuple[str, ...] = Field(
        ("headwater",),
        description="Packages to leave out, by distribution or import name; `stdlib` leaves out the standard library, "
        "`stdlib.asyncio` one part of it.",
    )
    stdlib_tests: bool = Field(False, description="Also read the standard library's own test packages.")

    @model_validator(mode="after")
    def _sizes_make_sense(self) -> Self:
        if not 0 <= self.min_bytes <= self.max_bytes:
            raise ValueError(f"min_bytes {self.min_bytes} must lie between 0 and max_bytes {self.max_bytes}")
        if self.max_megabytes is not None and self.max_megabytes <= 0:
            raise ValueError(f"max_megabytes is {self.max_megabytes}: give a positive number, or null for no limit")
        return self


Dataset: TypeAlias = dataset_choice()  # type: ignore[valid-type]
Source: TypeAlias = Annotated[
    TextFiles | ImageFiles | JsonLines | CsvFiles | ParquetFiles | WarcFiles | WebDataset | InstalledPackages | Dataset,
    Field(discriminator="kind"),
]


class HeldOut(Options):
    """Which documents are kept from training, chosen by hash before anything is fitted."""

    share: float = Field(
        0.02,
        description="Expected share of the groups that is held out, 0 to 1.",
        json_schema_extra={"minimum": 0, "maximum": 1},
    )
    group: Literal["group", "file", "document"] = Field(
        "group",
        description="What stays together: the source's own `group` (package, site, folder), a file, or each document.",
    )
    seed: int = Field(0, description="Draws which groups are held out.")

    @field_validator("share")
    @classmethod
    def _is_a_share(cls, share: float) -> float:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}: give a number from 0 to 1")
        return share


class ReadLimits(Options):
    """Bounds that keep a reader's memory small whatever a file holds."""

    max_document_megabytes: float = Field(
        64,
        description="A record with more bytes than this (10^6 each, as stored in its file) is dropped unread.",
        json_schema_extra={"exclusiveMinimum": 0},
    )

    @field_validator("max_document_megabytes")
    @classmethod
    def _is_positive(cls, megabytes: float) -> float:
        if megabytes <= 0:
            raise ValueError(f"max_document_megabytes is {megabytes}: give a positive number")
        return megabytes

    @property
    def max_bytes(self) -> int:
        """The bound in bytes."""
        return int(self.max_document_megabytes * 1_000_000)


def modality_of(sources: Sequence[SourceOptions]) -> Modality:
    """What all documents of a corpus are; raises ValueError when its sources differ in it."""
    found: dict[Modality, str] = {}
    for source in sources:
        found.setdefault(source.modality, source.name)
    if len(found) > 1:
        told = " and ".join(f"{name!r} gives {modality}" for modality, name in found.items())
        raise ValueError(f"a corpus has documents of one modality, but {told}: declare a corpus for each")
    return next(iter(found), "text")


def sources_by_name(sources: Sequence[Source]) -> dict[str, Source]:
    """Index sources by name; raises ValueError naming a name that two of them share."""
    named: dict[str, Source] = {}
    for source in sources:
        if source.name in named:
            raise ValueError(f"two sources are called {source.name!r}: give one of them another `name`")
        named[source.name] = source
    return named


def date_fields(sources: Sequence[Source]) -> dict[str, str]:
    """The field with the date, of each source that names one."""
    named = sources_by_name(sources).items()
    return {name: s.date_field for name, s in named if isinstance(s, RecordFields) and s.date_field}
