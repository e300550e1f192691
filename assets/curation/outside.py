"""What curation depends on outside the graph: the workspace's files with words, domains and licences.

Apart from the stages, so that whoever only asks whether something changed loads no kernel.
"""

from headwater.assets.curation.lists import list_digest
from headwater.assets.curation.options import CurationOptions
from headwater.assets.curation.rule_sets import RuleSet, Words
from headwater.assets.stages import Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.workspace import Workspace


def word_lists_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the files with words that are counted: what the signals depend on."""
    return _fingerprint(stage, workspace, counted=True)


def lists_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the files with domains and licences that rules look up: a changed one measures nothing again."""
    return _fingerprint(stage, workspace, counted=False)


def _fingerprint(stage: Stage, workspace: Workspace, counted: bool) -> str:
    options: CurationOptions = stage.options  # type: ignore[assignment]
    sets = [rule for rule in options.rules if isinstance(rule, RuleSet) and isinstance(rule, Words) == counted]
    return digest_of({path: list_digest(str(workspace.root / path)) for rule in sets for path in rule.files()})
