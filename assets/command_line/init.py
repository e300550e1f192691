"""`headwater init`: a small workspace of one's own, which needs the installed package and nothing of its source tree.

One pipeline over the folder `documents/`: short enough to read, complete enough to end in an evaluated model.
"""

import re
from pathlib import Path

import headwater

PYPROJECT = """\
[project]
name = "@NAME@"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["headwater>=@VERSION@"]

# What makes this folder a workspace: `headwater`, `dg` and `dagster dev` find the pipelines by it.
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "pipelines"
defs_module = "pipelines"
code_location_target_module = "headwater.assets.definitions"
code_location_name = "@LOCATION@"
registry_modules = ["headwater.assets"]
"""

WORKSPACE_YAML = """\
# What `dagster dev -w workspace.yaml` loads: the declarations under pipelines/.
load_from:
  - python_module:
      module_name: headwater.assets.definitions
      working_directory: .
      location_name: @LOCATION@
"""

PACKAGE = '"""What exists: one folder per pipeline, declared in YAML."""\n'

PIPELINE = """\
# From the text files in documents/ to an evaluated language model. Each component becomes one or several assets, named
# by its `name`. `headwater options Corpus` (Fit, Shards, ...) prints all that may be said; what is left out is usual.

type: headwater.assets.Corpus
attributes:
  name: my_text
  sources:
    # Files with these extensions. Paths start at the workspace folder; s3://... works, too. Other kinds of source:
    # jsonl, csv, parquet, warc, webdataset, installed_packages. List several, in order of precedence among duplicates.
    - {kind: text_files, path: "documents/**/*", extensions: [.md, .rst, .txt]}
  # Chosen by hash of the file name before anything is fitted; never trained on.
  held_out: {share: 0.1}
  # Rules that drop documents. Left out: length, rules for code, and Gopher's quality and repetition rules for prose.
  # curation:
  #   rules:
  #     - {kind: length, min_words: 20}
  # Drop less: what corresponds in a larger share of both texts only (the standard is 0.62).
  # deduplication: {verifier: {threshold: 0.7}}
---
type: headwater.assets.Fit
attributes:
  name: my_tokenizer
  corpus: my_text
  # Or your own: {kind: tokenizer_file, path: tokenizer.json, end_of_text: "<|endoftext|>"}
  fit: {kind: byte_level_bpe, vocabulary_size: 2048}
---
type: headwater.assets.Shards
attributes:
  name: my_shards
  corpora: [my_text]  # several, weighted: [{name: my_text, weight: 3}, {name: other, weight: 1}]
  tokenizer: my_tokenizer
  sequence_length: 256
---
type: headwater.assets.Training
attributes:
  name: my_model
  shards: my_shards
  # About one million weights: a minute on a laptop. Larger: width 512, layers 8, heads 8.
  backbone: {kind: decoder, width: 128, layers: 4, heads: 4}
  recipe:
    steps: 200
    batch_size: 8
    optimizer: {kind: adamw, learning_rate: 0.002}  # or muon
    schedule: {kind: cosine, warmup_steps: 20}  # or constant, warmup_stable_decay, infinite
  seeds: [0]  # one replicate each
---
type: headwater.assets.Evaluation
attributes:
  name: my_report
  training: my_model
  held_out: my_shards
"""

DOCUMENTS = """\
Put your text files here (.txt, .md, code, ...), in folders if you like. At least some dozens make sense: a tenth is
held out to measure the model. This file has no extension and is not read.
"""

README = """\
# @NAME@

A Headwater workspace. Put text files into `documents/`, then:

```
headwater validate                  # check the declarations
headwater materialize my_text_lm    # from the files to an evaluated model
headwater ui                        # the graph, every asset's page, runs and schedules: http://localhost:3000
```

- `pipelines/my_text_lm/defs.yaml` declares the pipeline; add a folder for another one.
- `store/` holds every output with its record, `.dagster/` the history of runs.
- `headwater plan my_text_lm` says what a materialization would recompute and why; `headwater options` lists what a
  declaration may say; `headwater schema` writes the schema with which editors complete it.
"""

GITIGNORE = """\
/.dagster/
/.dg/
/.env
/.venv/
/store/
__pycache__/
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "workspace.yaml": WORKSPACE_YAML,
    "pipelines/__init__.py": PACKAGE,
    "pipelines/my_text_lm/defs.yaml": PIPELINE,
    "documents/README": DOCUMENTS,
    "README.md": README,
    ".gitignore": GITIGNORE,
}


def init_workspace(folder: Path, name: str | None = None) -> list[Path]:
    """Writes a workspace into a folder, which may exist.

    Args:
        folder: the workspace.
        name: what it is called in the UI; the folder's name when left out.

    Returns:
        The files written.

    Raises:
        FileExistsError: a file that would be written is there already; nothing was written.
    """
    title = name or folder.resolve().name
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "workspace"
    values = {"@NAME@": slug, "@LOCATION@": slug.replace("-", "_"), "@VERSION@": headwater.__version__}
    _refuse_to_overwrite(folder)
    written = []
    for path, text in FILES.items():
        for mark, value in values.items():
            text = text.replace(mark, value)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def _refuse_to_overwrite(folder: Path) -> None:
    blocked = [part for part in (folder, folder / "pipelines", folder / "documents") if part.is_file()]
    there = [folder / path for path in FILES if (folder / path).exists()]
    if found := blocked or there:
        names = ", ".join(str(file) for file in found)
        raise FileExistsError(f"There already: {names}. Nothing was written; choose a new or an empty folder.")
