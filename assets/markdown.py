"""Small tables as Markdown, for asset pages and the terminal."""

from collections.abc import Sequence
from typing import Any


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "none") -> str:
    """A Markdown table; numbers (and text that looks like them) are aligned to the right by their column."""
    if not rows:
        return f"*{empty}*"
    right = [all(_is_number(row[n]) for row in rows) for n in range(len(header))]
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---:" if r else "---" for r in right) + "|"]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return str(value).replace(",", "").replace(".", "").replace("%", "").replace("-", "").strip().isdigit()


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
