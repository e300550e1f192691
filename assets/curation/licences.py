"""Licence names, brought to SPDX identifiers where they are recognised, and what an expression of them permits."""

import re
from collections.abc import Callable

# Identifiers that lists of open licences name most; lower case is enough to find them.
_KNOWN = {
    name.lower(): name
    for name in (
        "0BSD", "AFL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0",
        "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0",
        "CC-BY-SA-4.0", "CC-BY-NC-4.0", "EPL-1.0", "EPL-2.0", "EUPL-1.2", "GPL-2.0-only", "GPL-2.0-or-later",
        "GPL-3.0-only", "GPL-3.0-or-later", "HPND", "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
        "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-1.1", "MPL-2.0", "NCSA", "OFL-1.1", "PSF-2.0", "Python-2.0",
        "Unlicense", "UPL-1.0", "W3C", "WTFPL", "Zlib", "ZPL-2.1",
    )
}  # fmt: skip
# Free-form names as package metadata spells them. "BSD" alone does not say which of its licences is meant.
_ALIASES: tuple[tuple[str, str], ...] = (
    (r"(the )?(mit|expat)( license)?( \(mit\))?", "MIT"),
    (r"(the )?apache([ -]software)?([ -]licen[sc]e)?,?([ -]*\(?v?(ersion )?2(\.0)?\)?)?", "Apache-2.0"),
    (r"(the )?((new|modified|revised) bsd|(3|three)[ -]clause bsd|bsd[ -](3|three)[ -]clause)( license)?",
     "BSD-3-Clause"),
    (r"(the )?(simplified bsd|(2|two)[ -]clause bsd|bsd[ -](2|two)[ -]clause)( license)?", "BSD-2-Clause"),
    (r"(the )?isc( license)?( \(iscl\))?", "ISC"),
    (r"(mozilla public license|mpl)[ -]?v?(ersion )?2(\.0)?( \(mpl 2\.0\))?", "MPL-2.0"),
    (r"(psf|python software foundation)([ -]licen[sc]e)?", "PSF-2.0"),
    (r"(the )?unlicense( \(unlicense\))?", "Unlicense"),
    (r"(cc0|cc0 1\.0( universal)?.*|creative commons zero.*)", "CC0-1.0"),
    (r"cc[ -]by[ -]4\.0|creative commons attribution 4\.0( international)?", "CC-BY-4.0"),
    (r"cc[ -]by[ -]sa[ -]4\.0|creative commons attribution[ -]share ?alike 4\.0( international)?", "CC-BY-SA-4.0"),
    (r"gpl[ -]?v?2(\.0)?|gnu general public license v2( \(gplv2\))?", "GPL-2.0-only"),
    (r"gpl[ -]?v?2(\.0)?( or later|\+)|gnu general public license v2 or later( \(gplv2\+\))?", "GPL-2.0-or-later"),
    (r"gpl[ -]?v?3(\.0)?|gnu general public license v3( \(gplv3\))?", "GPL-3.0-only"),
    (r"gpl[ -]?v?3(\.0)?( or later|\+)|gnu general public license v3 or later( \(gplv3\+\))?", "GPL-3.0-or-later"),
    (r"agpl[ -]?v?3(\.0)?|gnu affero general public license v3", "AGPL-3.0-only"),
    (r"lgpl[ -]?v?3(\.0)?|gnu lesser general public license v3( \(lgplv3\))?", "LGPL-3.0-only"),
    (r"zlib(/libpng)?( license)?", "Zlib"),
    (r"boost software license( 1\.0)?( \(bsl-1\.0\))?", "BSL-1.0"),
)  # fmt: skip
_PATTERNS = [(re.compile(pattern), name) for pattern, name in _ALIASES]
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_OPERATORS = ("AND", "OR", "WITH")


def normalise_licence(name: str | None) -> str | None:
    """Bring a licence name to SPDX.

    Identifiers, expressions of them, trove classifiers and common spellings are recognised; an unrecognised name is
    returned stripped, an empty one (or `UNKNOWN`) as None.
    """
    if name is None:
        return None
    plain = " ".join(name.split("::")[-1].split()).strip(" .")
    if not plain or plain.lower() in ("unknown", "none", "noassertion"):
        return None
    single = _single(plain)
    if single is not None:
        return single
    tokens = _TOKEN.findall(plain)
    if not any(token.upper() in _OPERATORS for token in tokens):
        return plain
    named = [token.upper() if token.upper() in _OPERATORS else _single(token) or token for token in tokens]
    return " ".join(named).replace("( ", "(").replace(" )", ")")


def _single(name: str) -> str | None:
    lower = name.lower()
    if lower in _KNOWN:
        return _KNOWN[lower]
    return next((spdx for pattern, spdx in _PATTERNS if pattern.fullmatch(lower)), None)


def permits(expression: str, allows: Callable[[str], bool]) -> bool:
    """Whether a licence expression can be satisfied by allowed licences alone.

    Of `A OR B` one must be allowed, of `A AND B` both; `A WITH exception` is judged as `A`. Anything that is no
    well-formed expression is judged as one name.
    """
    tokens = _TOKEN.findall(expression)
    if not any(token in _OPERATORS or token in "()" for token in tokens):
        return allows(expression)
    result, rest = _either(tokens, allows)
    return allows(expression) if rest or result is None else result


Judged = tuple[bool | None, list[str]]


def _either(tokens: list[str], allows: Callable[[str], bool]) -> Judged:
    result, rest = _both(tokens, allows)
    while result is not None and rest[:1] == ["OR"]:
        other, rest = _both(rest[1:], allows)
        result = None if other is None else result or other
    return result, rest


def _both(tokens: list[str], allows: Callable[[str], bool]) -> Judged:
    result, rest = _one(tokens, allows)
    while result is not None and rest[:1] == ["AND"]:
        other, rest = _one(rest[1:], allows)
        result = None if other is None else result and other
    return result, rest


def _one(tokens: list[str], allows: Callable[[str], bool]) -> Judged:
    """One licence or parenthesis; None when the expression is malformed."""
    if not tokens or tokens[0] in _OPERATORS or tokens[0] == ")":
        return None, tokens
    if tokens[0] == "(":
        result, rest = _either(tokens[1:], allows)
        return (result, rest[1:]) if rest[:1] == [")"] else (None, rest)
    rest = tokens[1:]
    if rest[:1] == ["WITH"] and len(rest) > 1:
        rest = rest[2:]
    return allows(tokens[0]), rest
