"""Small tables as Markdown, for asset pages and the terminal."""

from collections.abc import Sequence
from typing import Any


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "none", left: int | None = None
) -> str:
    """A Markdown table; all but the first `left` columns are aligned to the right (None: those that hold numbers)."""
    if not rows:
        return f"*{empty}*"
    places = range(len(header))
    right = [all(_is_number(row[n]) for row in rows) if left is None else n >= left for n in places]
    lines = ["| " + " | ".join(map(_cell, header)) + " |", "|" + "|".join("---:" if r else "---" for r in right) + "|"]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return str(value).replace(",", "").replace(".", "").replace("%", "").replace("-", "").strip().isdigit()


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
