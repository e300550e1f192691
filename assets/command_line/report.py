"""Writing the report of a checkpoint."""

from pathlib import Path

import typer

from headwater.assets.lineage.history import select
from headwater.assets.lineage.report import render_report, write_report
from headwater.assets.lineage.report.facts import gather
from headwater.assets.storage.places import Store
from headwater.assets.workspace import find_workspace


def write_checkpoint_report(selector: str, output: Path | None, show: bool) -> None:
    """Writes a report as of now, into the store or to a file, and opens it in the browser when asked.

    Raises:
        LineageError: there is no such checkpoint or version of it.
    """
    workspace = find_workspace()
    workspace.prepare()
    store = Store(workspace.store_url)
    checkpoint = select(store, selector)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(render_report(gather(store, checkpoint)), encoding="utf-8")
        place = str(output)
    else:
        place = f"{store.url}/{write_report(store, checkpoint)}"
    typer.echo(f"Wrote {place}")
    if show:
        typer.launch(place)
