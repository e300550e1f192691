"""What training depends on outside the graph: the weights of others that it starts from.

Apart from the stage, so that whoever only asks whether something changed does not load torch.
"""

import hashlib
from pathlib import Path

from headwater.assets.context import StageError
from headwater.assets.stages import Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.training.declaration import HuggingFaceFolder, TrainingOptions
from headwater.assets.workspace import Workspace


def initial_weights_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the files of a Hugging Face folder that training starts from."""
    options: TrainingOptions = stage.options  # type: ignore[assignment]
    if not isinstance(options.backbone, HuggingFaceFolder):
        return ""
    folder = workspace.root / options.backbone.path
    files = sorted([*folder.glob("config.json"), *folder.glob("*.safetensors")])
    if not files:
        raise StageError(f"{stage.asset}: {options.backbone.path} holds no config.json and no *.safetensors.")
    return digest_of([[file.name, sha256_of(file)] for file in files])


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
