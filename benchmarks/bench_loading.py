"""How long a hundred pipelines take to load, beside Dagster alone with as many assets.

Every command, every worker of Dagster and every refresh of the UI loads all declarations first. So Headwater has a
goal: `load_definitions` for a hundred copies of the default pipeline, checks of every file and reference included, in
under two seconds. The copies are written into a workspace of their own, with every component renamed.
"""

import shutil
from pathlib import Path
from typing import Any

import yaml
from common import Benchmark, Peer, Result, comparison, measured, median, run, times

from headwater.assets.command_line.init import init_workspace

PIPELINES, GOAL_SECONDS = 100, 2.0
_MODEL = Path(__file__).resolve().parents[1] / "pipelines" / "installed_packages_lm" / "defs.yaml"


def _prepare(folder: Path, megabytes: float) -> Result:
    """A workspace with copies of the default pipeline; the size of a corpus has no part in it."""
    init_workspace(folder, "loading")
    shutil.rmtree(folder / "pipelines" / "my_text_lm")
    documents = list(yaml.safe_load_all(_MODEL.read_text()))
    names = {document["attributes"]["name"] for document in documents}
    for number in range(PIPELINES):
        target = folder / "pipelines" / f"copy_{number:03d}" / "defs.yaml"
        target.parent.mkdir()
        renamed = [_renamed(document, names, f"_{number:03d}") for document in documents]
        target.write_text(yaml.safe_dump_all(renamed, sort_keys=False))
    return {"components": len(documents) * PIPELINES}


def _renamed(value: Any, names: set[str], ending: str) -> Any:
    """The declaration with every component's name, and every mention of one, under another name."""
    if isinstance(value, dict):
        return {key: item if key == "kind" else _renamed(item, names, ending) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names, ending) for item in value]
    return value + ending if isinstance(value, str) and value in names else value


def _headwater(folder: Path) -> Result:
    from headwater.assets.definitions import load_definitions
    from headwater.assets.workspace import Workspace

    with measured() as cost:
        definitions = load_definitions(Workspace(folder))
    assets = len(list(definitions.resolve_all_asset_specs()))
    return cost | {"assets": assets}


def _validate(folder: Path) -> Result:
    from headwater.assets.validation import validate_workspace
    from headwater.assets.workspace import Workspace

    with measured() as cost:
        problems = validate_workspace(Workspace(folder))
    if problems:
        raise SystemExit(f"the copies are not valid: {problems[0]}")
    return cost


def _dagster(folder: Path) -> Result:
    """As many assets as the pipelines have, in chains, without options, checks or metadata."""
    import dagster

    stages = [f"stage_{number}" for number in range(_stages_of_a_pipeline())]
    with measured() as cost:
        assets = [
            _bare_asset(dagster, pipeline, stage, before)
            for pipeline in range(PIPELINES)
            for before, stage in zip([None, *stages], stages, strict=False)
        ]
        count = len(list(dagster.Definitions(assets=assets).resolve_all_asset_specs()))
    return cost | {"assets": count}


def _stages_of_a_pipeline() -> int:
    """raw, signals, curated and deduplicated; tokenizer; tokens and shards; checkpoint; evaluation."""
    stages = {"Corpus": 4, "Fit": 1, "Shards": 2, "Training": 1, "Evaluation": 1}
    return sum(stages[document["type"].rpartition(".")[2]] for document in yaml.safe_load_all(_MODEL.read_text()))


def _bare_asset(dagster: Any, pipeline: int, stage: str, before: str | None) -> Any:
    deps = [dagster.AssetKey([f"bare_{pipeline}", before])] if before else []

    @dagster.asset(key=[f"bare_{pipeline}", stage], deps=deps, group_name=f"bare_{pipeline}")
    def computed() -> None:
        return None

    return computed


PEERS = {
    "headwater": Peer("headwater: load_definitions", _headwater),
    "validate": Peer("of which validation", _validate),
    "dagster": Peer("Dagster alone: bare assets in Python", _dagster),
}


def _report(facts: Result, results: dict[str, list[Result]]) -> str:
    own, wall = (median(results["headwater"], figure) for figure in ("cpu", "wall"))
    whole = median(results["headwater"], "process_cpu")

    def cells(key: str, runs: list[Result]) -> list[str]:
        cpu = median(runs, "cpu")
        assets = f"{runs[0]['assets']:,}" if "assets" in runs[0] else ""
        return [f"{cpu:.2f}", times(cpu, own), f"{median(runs, 'wall'):.2f}", assets]

    header = ["CPU s", "headwater = 1", "wall s", "assets"]
    verdict = "met" if own < GOAL_SECONDS else "missed"
    return (
        f"{PIPELINES} pipelines with {facts['components']} components, each run in a fresh process.\n\n"
        f"{comparison(PEERS, results, header, cells)}\n\nGoal: under {GOAL_SECONDS:g} s for load_definitions. It is "
        f"**{verdict}**: {own:.2f} CPU s ({wall:.2f} s by the clock on this machine); the "
        f"whole process, Python's start and all imports included, takes {whole:.2f} CPU s."
    )


if __name__ == "__main__":
    run(Benchmark("bench_loading", "Loading a hundred pipelines", _prepare, PEERS, _report))
