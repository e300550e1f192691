"""The command `headwater`: declare, check, materialize, look, follow, export.

Every command works in the workspace of the current folder. Wrong declarations and missing inputs end with one message
and exit status 1; a traceback means a defect of Headwater.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from headwater.assets.command_line.discard import discard
from headwater.assets.command_line.gc import gc
from headwater.assets.command_line.guard import clear_errors
from headwater.assets.command_line.promote import current, promote, rollback
from headwater.assets.command_line.reproductions import reproductions
from headwater.assets.command_line.trace import diff, index_app, trace_app
from headwater.assets.command_line.verify import verify
from headwater.assets.command_line.withdraw import withdraw
from headwater.assets.scales import VARIABLE, chosen_scale

app = typer.Typer(
    name="headwater",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def at_a_scale(
    scale: Annotated[
        Literal["smoke", "small", "paper"] | None,
        typer.Option(help="Size of everything declared; smoke and paper have stores of their own. Or HEADWATER_SCALE."),
    ] = None,
) -> None:
    if scale is not None:
        os.environ[VARIABLE] = scale
    try:
        chosen_scale()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
@clear_errors
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new workspace.")],
    name: Annotated[str | None, typer.Option(help="Name of the workspace (default: the folder's).")] = None,
) -> None:
    """Write a small workspace with one pipeline over your own text files."""
    from headwater.assets.command_line.init import init_workspace

    for path in init_workspace(folder, name):
        typer.echo(f"  {path}")
    typer.echo(f"\nPut text files into {folder / 'documents'}, then:  cd {folder} && headwater materialize my_text_lm")


@app.command()
@clear_errors
def validate() -> None:
    """Check every declaration: file, line, field and mend of everything that is wrong."""
    from headwater.assets.validation import validate_workspace
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    problems = validate_workspace(workspace)
    for problem in problems:
        typer.secho(str(problem), fg="red", err=True)
    files = len(list(workspace.pipelines.rglob("defs.yaml")))
    typer.echo(f"Checked {_count(files, 'file')} of declarations: {_count(len(problems), 'problem')}.")
    raise typer.Exit(1 if problems else 0)


@app.command()
@clear_errors
def materialize(
    selection: Annotated[list[str], typer.Argument(help="Pipelines, components or assets such as packages/curated.")],
    upstream: Annotated[bool, typer.Option(help="Also what the asset is made from.")] = True,
    summary: Annotated[bool, typer.Option(help="End with a one-screen summary.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="What is selected (an asset or a component) follows its changed inputs even where it would wait: a "
            "retraining below its threshold, a tokenizer that stays. Nothing unchanged is made again.",
        ),
    ] = False,
) -> None:
    """Compute what is not there yet; what has not changed is reused."""
    from headwater.assets.command_line.materialize import materialize_selection
    from headwater.assets.command_line.summary import print_summary

    pipelines = materialize_selection(selection, upstream, force)
    for pipeline in pipelines if summary else []:
        print_summary(pipeline)


@app.command()
@clear_errors
def plan(
    selection: Annotated[
        list[str] | None, typer.Argument(help="Pipelines, components or assets; everything when left out.")
    ] = None,
) -> None:
    """Say what a materialization would recompute, why, and what it read last time."""
    from headwater.assets.command_line.inspect import print_plan

    print_plan(selection or [])


@app.command(name="try")
@clear_errors
def try_step(
    corpus: Annotated[str, typer.Argument(help="A pipeline, or the name of a corpus.")],
    step: Annotated[str, typer.Argument(help="signals, curated, deduplicated or tokens.")],
    sample: Annotated[int, typer.Option(min=1, help="Documents drawn by hash.")] = 100,
    show: Annotated[int, typer.Option(min=0, help="Documents shown side by side.")] = 8,
) -> None:
    """Show a step's effect on a sample, side by side; nothing is stored."""
    from headwater.assets.command_line.trial import print_trial

    print_trial(corpus, step, sample, show)


@app.command()
@clear_errors
def show(
    asset: Annotated[str, typer.Argument(help="An asset such as small_decoder/checkpoint; all when left out.")] = "",
    json: Annotated[bool, typer.Option(help="Print record.json as it is.")] = False,
) -> None:
    """Print an asset's record for people: what it is made of, what came out, which checks passed."""
    from headwater.assets.command_line.inspect import print_asset, print_assets

    if asset:
        print_asset(asset, json)
    else:
        print_assets()


@app.command()
@clear_errors
def migrate() -> None:
    """Bring a store that an older release wrote up to this one; nothing is computed or removed."""
    from headwater.assets.storage.migration import migrate as migrate_record
    from headwater.assets.storage.migration import outdated
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    records = outdated(Store(workspace.store_url))
    for place, path in records:
        migrate_record(place, path)
    typer.echo(
        f"Migrated {_count(len(records), 'record')}."
        if records
        else "Every record that can be read has this release's format."
    )


@app.command()
@clear_errors
def summary(pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")]) -> None:
    """Print the one-screen summary of a materialized pipeline."""
    from headwater.assets.command_line.summary import print_summary

    print_summary(pipeline)


app.add_typer(trace_app, name="trace")
app.command()(diff)
app.command()(current)
app.command()(promote)
app.command()(rollback)
app.command()(withdraw)
app.command()(gc)
app.command()(discard)
app.command()(verify)
app.command()(reproductions)
app.add_typer(index_app, name="index")


@app.command()
@clear_errors
def report(
    checkpoint: Annotated[str, typer.Argument(help="Name of a Training; NAME@IDENTITY is a past version of it.")],
    output: Annotated[Path | None, typer.Option(help="File to write (default: beside the checkpoint).")] = None,
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the data and model card of a checkpoint as one HTML file, as of now."""
    from headwater.assets.command_line.report import write_checkpoint_report

    write_checkpoint_report(checkpoint, output, open)


@app.command()
@clear_errors
def export(
    training: Annotated[str, typer.Argument(help="Name of a Training.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int | None, typer.Option(help="Replicate (default: the first).")] = None,
) -> None:
    """Write a checkpoint as a Hugging Face folder, tokenizer included."""
    from headwater.assets.command_line.inspect import export_training

    export_training(training, folder, seed)


@app.command()
@clear_errors
def accept(
    asset: Annotated[str, typer.Argument(help="An asset whose code was edited without changing what it computes.")],
) -> None:
    """Record that a code edit is equivalent, so that nothing is recomputed for it."""
    from headwater.assets.command_line.inspect import accept_code

    accept_code(asset)


@app.command()
@clear_errors
def options(
    kind: Annotated[str, typer.Argument(help="A kind of asset, such as Training, or a part; all when left out.")] = "",
    write: Annotated[Path | None, typer.Option(help="Write the Markdown reference to a file.")] = None,
) -> None:
    """Print every option of a kind with its default and meaning."""
    from headwater.assets.command_line.reference import options_reference, options_text

    if write is not None:
        write.write_text(options_reference(), encoding="utf-8")
        typer.echo(f"Wrote {write}")
    else:
        typer.echo(options_text(kind or None))


@app.command()
@clear_errors
def schema() -> None:
    """Write the JSON schema with which editors complete and check declarations."""
    from headwater.assets.command_line.reference import write_schema
    from headwater.assets.workspace import find_workspace

    typer.echo(f"Wrote {write_schema(find_workspace())}")


@app.command()
@clear_errors
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web server.")] = 3000) -> None:
    """Open the Dagster UI with its daemon (schedules, sensors) on this machine."""
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    os.chdir(workspace.root)
    typer.echo(f"Dagster UI: http://localhost:{port}  (end it with Ctrl-C)")
    _show_reports(port + 1)
    # Dagster recommends another program for the same; whoever called this one can do nothing about it.
    os.environ["PYTHONWARNINGS"] = ",".join(
        filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:Function `dev_command` is superseded"])
    )
    program = str(Path(sys.executable).with_name("dagster"))
    os.execv(program, [program, "dev", "--workspace", "workspace.yaml", "--port", str(port), "--log-level", "warning"])


def _show_reports(port: int) -> None:
    """Starts the little server of reports that asset pages link to, unless another one is declared."""
    if os.environ.setdefault("HEADWATER_REPORTS_URL", f"http://localhost:{port}") == f"http://localhost:{port}":
        module = "headwater.assets.command_line.report_server"
        subprocess.Popen([sys.executable, "-m", module, str(port)], stdin=subprocess.DEVNULL)
        typer.echo(f"Reports of checkpoints: http://localhost:{port}/NAME")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    app()
