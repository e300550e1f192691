"""How long the past is kept: declared once for a workspace, as ``[tool.headwater.retention]`` in its pyproject.toml."""

import tomllib
from pathlib import Path

from pydantic import Field

from headwater.models.options import Options


class Retention(Options):
    """Which past outputs ``headwater gc`` leaves. What is current, and what that was made from, is always left."""

    keep: int = Field(5, ge=0, description="Past outputs of each asset that are kept whatever their age, newest first.")
    older_than_days: float = Field(30, ge=0, description="Past outputs younger than this stay too, in days.")
    merge_fragments: int = Field(
        64, ge=2, description="Tables that refreshes have cut into more fragments than this are put together again."
    )
    attempt_hours: float = Field(
        24, ge=0, description="Finished parts of an interrupted run stay this long, in hours, so that it can go on."
    )


def declared_retention(workspace: Path) -> Retention:
    """The retention that a workspace declares, or the defaults.

    Raises:
        ValidationError: a field is unknown or out of range.
    """
    file = workspace / "pyproject.toml"
    if not file.is_file():
        return Retention()
    settings = tomllib.loads(file.read_text(encoding="utf-8"))
    return Retention.model_validate(settings.get("tool", {}).get("headwater", {}).get("retention", {}))
