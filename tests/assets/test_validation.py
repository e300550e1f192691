"""Every way to get a declaration wrong, with the file, line, field and mend that the user is told."""

import subprocess
import sys
import textwrap
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.definitions import load_definitions
from headwater.assets.validation import DeclarationError, Problem, component_kinds, validate_text, validate_workspace
from headwater.assets.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]

CORPUS = """\
type: headwater.assets.Corpus
attributes:
  name: notes
  sources:
    - kind: text_files
      path: notes/*.md
"""


def corpus(extra: str = "", name: str = "notes") -> str:
    return CORPUS.replace("name: notes", f"name: {name}") + textwrap.indent(textwrap.dedent(extra).strip() + "\n", "  ")


def declare(workspace: Workspace, text: str | bytes, pipeline: str = "one", file: str = "defs.yaml") -> None:
    folder = workspace.pipelines / pipeline
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())


def only(text: str | bytes) -> Problem:
    """The one problem of a file."""
    checked = validate_text("defs.yaml", text if isinstance(text, bytes) else text.encode())
    assert len(checked.problems) == 1, [str(problem) for problem in checked.problems]
    return checked.problems[0]


# name → (YAML, line, field, part of the message, part of the mend)
WRONG_FORM = {
    "unclosed list": (CORPUS + "  owners: [a@b.c\n", 8, "", "not valid YAML", "quotes here"),
    "tab": ("type: headwater.assets.Corpus\nattributes:\n\tname: notes\n", 3, "", "'\\t'", "indent with spaces"),
    "wrong indentation": (CORPUS.replace("  name", "   name"), 4, "", "not valid YAML", "indentation"),
    "colon in text": (CORPUS + "  description: a: b\n", 7, "", "not valid YAML", "quotes"),
    "not UTF-8": (CORPUS.encode() + b"  description: caf\xe9\n", 7, "", "byte 0xE9", "Save the file as UTF-8"),
    "control character": (CORPUS + "  description: a\x07b\n", 7, "", "U+0007", "Remove it"),
    "undefined alias": (CORPUS + "  held_out: *nowhere\n", 7, "", "undefined alias", "Define the anchor"),
    "Python tag": (CORPUS + "  tags: !!python/object:os.system {}\n", 7, "", "constructor", "in quotes"),
    "tag on a key": ("!!b type: headwater.assets.Corpus\n", 1, "", "constructor", "Tags"),
    "list as key": (CORPUS + "  tags: {[a]: b}\n", 7, "", "not valid YAML", "text"),
    "empty file": ("", 1, "", "declares nothing", "Begin with"),
    "comments alone": ("# later\n", 1, "", "declares nothing", "Begin with"),
    "list at top level": (f"- {CORPUS.splitlines()[0]}\n", 1, "", "mapping, not a list", "type"),
    "text at top level": ("Corpus\n", 1, "", "mapping, not text", "type"),
    "broken second document": (CORPUS + "---\ntype: [\n", 9, "", "not valid YAML", ""),
    "empty last document": (CORPUS + "---\n", 7, "", "is empty", "Remove its `---`"),
    "key twice": (CORPUS + "  name: again\n", 7, "attributes.name", "on line 3 and on line 7", "Keep one"),
    "key twice in a list": (
        CORPUS + "      path: b\n", 7, "attributes.sources[0].path", "on line 6 and on line 7", "Keep one",
    ),
    "top-level key twice": (CORPUS + "type: headwater.assets.Corpus\n", 7, "type", "line 1 and on line 7", "Keep one"),
}  # fmt: skip

WRONG_DOCUMENT = {
    "no type": ("attributes: {name: a}\n", 1, "type", "missing", "headwater.assets.Corpus"),
    "empty type": ("type:\nattributes: {name: a}\n", 1, "type", "missing", "headwater.assets.Corpus"),
    "type is a list": ("type: [a]\nattributes: {name: a}\n", 1, "type", "text", "headwater.assets.Corpus"),
    "unknown kind": (
        CORPUS.replace("Corpus", "Korpus"), 1, "type", "no kind 'headwater.assets.Korpus'", "'headwater.assets.Corpus'"
    ),
    "misspelled prefix": (
        CORPUS.replace("headwater.assets", "headwater.asset"), 1, "type", "no kind", "'headwater.assets.Corpus'"
    ),
    "kind alone": (CORPUS.replace("headwater.assets.", ""), 1, "type", "no kind 'Corpus'", "headwater.assets.Corpus"),
    "unknown top-level field": (CORPUS.replace("attributes", "atributes"), 2, "atributes", "Unknown", "'attributes'"),
    "no attributes": ("type: headwater.assets.Corpus\n", 1, "attributes", "missing", "name, sources"),
    "empty attributes": ("type: headwater.assets.Corpus\nattributes:\n", 2, "attributes", "missing", "name, sources"),
    "attributes are a list": ("type: headwater.assets.Fit\nattributes: [a]\n", 2, "attributes", "a mapping", "name"),
}  # fmt: skip

WRONG_FIELD = {
    "misspelled": (corpus("decription: a"), 7, "attributes.decription", "Unknown field", "'description'"),
    "misspelled in a nested model": (
        corpus("deduplication:\n  near:\n    kind: minhash\n    treshold: 1"), 10,
        "attributes.deduplication.near.treshold", "Unknown field", "'threshold'",
    ),
    "two places of a field": (
        corpus("deduplication: {threshold: 0.9}"), 7, "attributes.deduplication.threshold",
        "Unknown field", "'near.threshold' or 'verifier.threshold'",
    ),
    "limit of no source": (
        corpus("deduplication: {max_lost_share_of: {note: 1}}"), 7, "attributes.deduplication",
        "'note', which is no source", "",
    ),
    "field of another kind": (
        corpus("deduplication: {near: {permutations: 64}}"), 7, "attributes.deduplication.near.permutations",
        "Unknown field", "It belongs to `kind: minhash`.",
    ),
    "misspelled in a list of kinds": (
        corpus().replace("path:", "pth:"), 6, "attributes.sources[0].pth", "Unknown field", "'path'",
    ),
    "misspelled in the second rule": (
        corpus("curation:\n  rules:\n    - kind: length\n    - kind: gopher_quality\n      min_word: 3"),
        11, "attributes.curation.rules[1].min_word", "Unknown field", "'min_words'",
    ),
    "one level too high": (
        corpus("deduplication: {permutations: 64}"), 7, "attributes.deduplication.permutations",
        "Unknown field", "'near.permutations'",
    ),
    "missing": (CORPUS.replace("  name: notes\n", ""), 2, "attributes.name", "missing", "Add `name: …`"),
    "missing in a list": (
        CORPUS.replace("      path: notes/*.md\n", ""), 5, "attributes.sources[0].path", "missing", "Path or fsspec URL"
    ),
    "wrong kind": (
        CORPUS.replace("text_files", "text_file"), 5, "attributes.sources[0].kind", "no kind 'text_file'", "text_files"
    ),
    "no kind": (CORPUS.replace("kind: text_files\n      ", ""), 5, "attributes.sources[0]", "its kind", "text_files"),
    "text for an entry with a kind": (
        "type: headwater.assets.Corpus\nattributes:\n  name: a\n  sources:\n    - notes\n",
        5, "attributes.sources[0]", "mapping", "text_files",
    ),
    "text for a number": (
        corpus("compute: {workers: many}"), 7, "attributes.compute.workers", "whole number is expected", "",
    ),
    "fraction for a whole number": (
        corpus("compute: {workers: 1.5}"), 7, "attributes.compute.workers", "this is 1.5", "",
    ),
    "number for text": (corpus("description: 5"), 7, "attributes.description", "Text is expected", "quotes: '5'"),
    "truth value for text": (corpus("description: yes"), 7, "attributes.description", "Text", "quotes: 'yes'"),
    "nothing for text": (corpus("description:"), 7, "attributes.description", "this is nothing", ""),
    "text for a list": (corpus("owners: a@b.c"), 7, "attributes.owners", "A list is expected", "['a@b.c']"),
    "list for a mapping": (
        corpus("held_out:\n  - 1"), 7, "attributes.held_out", "mapping", "",
    ),
    "number as a tag's name": (corpus("tags: {1: one}"), 7, "attributes.tags.1", "Text is expected", "quotes: '1'"),
    "key that YAML reads as true": (corpus("on: 1"), 7, "attributes.on", "Unknown field", "Known"),
    "empty key": (corpus("null: 1"), 7, "attributes.null", "Unknown field", "Known"),
    "exponent for a whole number": (
        corpus("held_out: {seed: 1e3}"), 7, "attributes.held_out.seed", "whole number", "write 1000",
    ),
    "too large": (corpus("max_unreadable_share: 1.5"), 7, "attributes.max_unreadable_share", "at most 1", ""),
    "too small": (corpus("compute:\n  retries: -1"), 8, "attributes.compute.retries", "at least 0", ""),
    "out of range by a rule": (corpus("held_out:\n  share: 3"), 8, "attributes.held_out.share", "from 0 to 1", ""),
    "a rule over several fields": (
        corpus("").replace("kind: text_files\n      path: notes/*.md", "kind: installed_packages\n      min_bytes: -3"),
        6, "attributes.sources[0].min_bytes", "must lie between 0", "",
    ),
    "no date": (
        CORPUS + "      date: 31.02.2020\n", 7, "attributes.sources[0].date", "date is '31.02.2020'", "",
    ),
    "not a choice": (
        CORPUS + "      group: flie\n", 7, "attributes.sources[0].group", "'flie' is not one", "'file'",
    ),
    "nowhere near a choice": (
        CORPUS + "      group: xyz\n", 7, "attributes.sources[0].group", "not one", "file or folder",
    ),
    "not a name": (corpus(name="my-notes"), 3, "attributes.name", "not a name", "'my_notes'"),
    "template for a number": (
        corpus('compute: {workers: "{{ env.N }}"}'), 7, "attributes.compute.workers", "for text values", "itself",
    ),
    "template for a name": (corpus(name='"{{ env.N }}"'), 3, "attributes.name", "for text values", "itself"),
    "template for a choice": (
        CORPUS + '      format: "{{ env.F }}"\n', 7, "attributes.sources[0].format", "for text values", "itself",
    ),
    "a number where a word would do as well": (
        "type: headwater.assets.Shards\nattributes:\n  name: a\n  tokenizer: t\n  corpora:\n"
        "    - {name: c, weight: -1}\n",
        6, "attributes.corpora[0].weight", "It must be greater than 0, but it is -1.", "",
    ),
    "refers to itself": (
        corpus("deduplication: &d\n  exact: *d"), 8, "attributes.deduplication.exact.exact", "Unknown field", "Known",
    ),
}  # fmt: skip

WRONG = WRONG_FORM | WRONG_DOCUMENT | WRONG_FIELD


@pytest.mark.parametrize("case", WRONG)
def test_each_mistake_is_told_with_line_field_and_mend(case: str) -> None:
    text, line, field, message, mend = WRONG[case]
    checked = validate_text("defs.yaml", text if isinstance(text, bytes) else text.encode())
    found = checked.problems[0]
    assert (found.line, found.field) == (line, field), str(found)
    assert message in found.message
    assert mend in found.mend
    unknown_top = case == "unknown top-level field"  # the attributes are missing then, too
    assert len(checked.problems) == (2 if unknown_top else 1), [str(problem) for problem in checked.problems]


def test_a_problem_reads_as_one_line_that_editors_can_jump_to() -> None:
    problem = only(corpus("decription: a"))
    assert str(problem) == "defs.yaml:7: attributes.decription: Unknown field. Did you mean 'description'?"


def test_all_problems_of_all_documents_are_told_at_once() -> None:
    checked = validate_text(
        "defs.yaml", (corpus("a: 1") + "---\n" + corpus("b: 1", name="x-y") + "---\na: [\n").encode()
    )
    assert sorted(problem.line for problem in checked.problems) == [7, 11, 15, 18]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    problem = only(b"\xef\xbb\xbf" + corpus("decription: a").replace("\n", "\r\n").encode())
    assert problem.line == 7


@pytest.mark.parametrize(
    "extra",
    [
        'description: "from {{ env.PLACE }}"',
        "compute: &c {workers: 2}",
        "held_out: &h {share: 0.1}\nlimits: {}",
        "curation:\n  rules:\n    - &length {kind: length, min_words: 3}\n    - {<<: *length, applies_to: code}",
        "deduplication:\n  exact: &e {fold_case: false}\n  near: null",
    ],
)
def test_templates_in_text_anchors_and_merge_keys_are_fine(extra: str) -> None:
    checked = validate_text("defs.yaml", corpus(extra).encode())
    assert [str(problem) for problem in checked.problems] == []


def test_a_merged_value_is_blamed_where_it_is_written() -> None:
    extra = "curation:\n  rules:\n    - &l {kind: length, min_words: x}\n    - {<<: *l, applies_to: code}"
    checked = validate_text("defs.yaml", corpus(extra).encode())
    assert {problem.line for problem in checked.problems} == {9}


def test_a_key_that_overrides_a_merged_one_is_no_repetition() -> None:
    extra = "curation:\n  rules:\n    - &l {kind: length, min_words: 3}\n    - {<<: *l, applies_to: code, min_words: x}"
    assert only(corpus(extra)).line == 10


def test_another_librarys_component_is_left_to_dagster() -> None:
    assert validate_text("defs.yaml", b"type: dagster.DefsFolderComponent\nattributes: {}\n").problems == []


def test_one_name_in_two_files_is_refused(workspace: Workspace) -> None:
    declare(workspace, CORPUS, "one")
    declare(workspace, "# a comment\n" + CORPUS, "two")
    (problem,) = validate_workspace(workspace)
    assert (problem.file, problem.line, problem.field) == ("pipelines/two/defs.yaml", 4, "attributes.name")
    assert "pipelines/one/defs.yaml:3" in problem.message


def fit(corpus_name: str) -> str:
    return f"---\ntype: headwater.assets.Fit\nattributes:\n  name: words\n  corpus: {corpus_name}\n"


def shards(corpora: str, tokenizer: str = "words") -> str:
    return (
        f"---\ntype: headwater.assets.Shards\nattributes:\n  name: packed\n  tokenizer: {tokenizer}\n"
        f"  corpora: {corpora}\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "field", "message", "mend"),
    [
        (CORPUS + fit("note"), 11, "attributes.corpus", "No Corpus is named 'note'", "'notes'"),
        (CORPUS + fit("notes") + shards("[notes, nodes]"), 17, "attributes.corpora[1]", "'nodes'", "'notes'"),
        (
            CORPUS + fit("notes") + shards("\n    - name: notes\n    - name: nope"), 19, "attributes.corpora[1].name",
            "No Corpus is named 'nope'", "notes",
        ),
        (CORPUS + fit("notes") + shards("notes", "notes"), 16, "attributes.tokenizer", "'notes' is a Corpus", "words"),
        (fit("notes").removeprefix("---\n"), 4, "attributes.corpus", "No Corpus", "Declare a Corpus"),
    ],
)  # fmt: skip
def test_a_name_of_nothing_is_refused(
    workspace: Workspace, text: str, line: int, field: str, message: str, mend: str
) -> None:
    declare(workspace, text)
    (problem,) = validate_workspace(workspace)
    assert (problem.line, problem.field) == (line, field)
    assert message in problem.message
    assert mend in problem.mend


def test_names_of_components_that_are_wrong_elsewhere_count_as_known(workspace: Workspace) -> None:
    declare(workspace, corpus("decription: a") + fit("notes"))
    (problem,) = validate_workspace(workspace)
    assert problem.field == "attributes.decription"


def test_names_are_not_blamed_while_a_file_cannot_be_read(workspace: Workspace) -> None:
    declare(workspace, fit("notes").removeprefix("---\n"), "one")
    declare(workspace, "type: [", "two")
    assert [problem.file for problem in validate_workspace(workspace)] == ["pipelines/two/defs.yaml"]


def test_a_name_may_be_declared_in_python(workspace: Workspace) -> None:
    declare(workspace, fit("notes").removeprefix("---\n"))
    declare(workspace, "", file="more.py")
    assert validate_workspace(workspace) == []


def test_files_that_would_never_load_are_told(workspace: Workspace) -> None:
    declare(workspace, CORPUS, file="defs.yml")
    declare(workspace, corpus(name="other"), pipeline="my-lm")
    told = [str(problem) for problem in validate_workspace(workspace)]
    assert len(told) == 2
    assert "Rename the folder to 'my_lm'" in told[0]
    assert "Rename it to defs.yaml" in told[1]


def test_dagsters_former_file_name_does_not_escape_the_check(workspace: Workspace) -> None:
    declare(workspace, "type: headwater.assets.Corpus\n", file="component.yaml")
    (problem,) = validate_workspace(workspace)
    assert "Rename it to defs.yaml" in problem.mend


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_broken_gives_problems_with_lines_and_never_an_exception(data: st.DataObject) -> None:
    shipped = (REPOSITORY / "pipelines" / "installed_packages_lm" / "defs.yaml").read_text()
    text = data.draw(st.sampled_from([shipped, *(t if isinstance(t, str) else shipped for t, *_ in WRONG.values())]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        put = data.draw(
            st.sampled_from(
                [
                    "",
                    "\n",
                    " ",
                    "  ",
                    ":",
                    "-",
                    "[",
                    "]",
                    "{",
                    "}",
                    "'",
                    "&a ",
                    "*a",
                    "!b ",
                    "<<: ",
                    "---\n",
                    "\t",
                    "#",
                    "null",
                    "\x00",
                    "é",
                    "? ",
                    "|",
                ]
            )
        )
        text = text[:at] + put + text[at + cut :]
    lines = text.count("\n") + 1
    checked = validate_text("defs.yaml", text.encode())
    for problem in checked.problems:
        assert 1 <= problem.line <= lines
        assert problem.message.endswith((".", "?", "!"))
        assert "function-" not in problem.field


def test_a_broken_workspace_does_not_load(workspace: Workspace) -> None:
    declare(workspace, CORPUS, "fine")
    declare(workspace, corpus("held_out:\n  share: 3", name="other"), "wrong")
    with pytest.raises(DeclarationError, match=r"pipelines/wrong/defs\.yaml:8: attributes\.held_out\.share: ") as error:
        load_definitions(workspace)
    assert len(error.value.problems) == 1


def test_what_is_valid_here_loads_in_dagster(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "a drawer")
    extra = """\
        description: "from {{ env.PLACE }}"
        curation:
          rules:
            - &length {kind: length, min_words: 3}
            - {<<: *length, applies_to: code}
        """
    declare(workspace, corpus(extra) + fit("notes"))
    specs = {spec.key.to_user_string(): spec for spec in load_definitions(workspace).resolve_all_asset_specs()}
    assert {"notes/raw", "notes/deduplicated", "words/tokenizer"} <= set(specs)
    assert specs["notes/raw"].description == "from a drawer"


def test_dagster_itself_would_have_taken_a_repeated_key(workspace: Workspace) -> None:
    """Why repeated keys are looked for here: Dagster takes the last without a word."""
    declare(workspace, CORPUS + "  name: again\n")
    loaded = dg.load_from_defs_folder(path_within_project=workspace.root)
    assert {spec.key.path[0] for spec in loaded.resolve_all_asset_specs()} == {"again", "headwater"}
    with pytest.raises(DeclarationError, match="given twice"):
        load_definitions(workspace)


def test_a_folder_that_is_no_package_is_named_with_the_mend(workspace: Workspace) -> None:
    declare(workspace, CORPUS)
    (workspace.pipelines / "__init__.py").unlink()
    (problem,) = validate_workspace(workspace)
    assert problem.file == "pipelines/__init__.py"
    assert problem.mend == "An empty file will do: touch pipelines/__init__.py"
    with pytest.raises(DeclarationError, match=r"pipelines/__init__\.py:1: It is missing"):
        load_definitions(workspace)


def test_a_workspace_without_its_folder_of_declarations_is_told_to_make_it(workspace: Workspace) -> None:
    (workspace.pipelines / "__init__.py").unlink()
    workspace.pipelines.rmdir()
    (problem,) = validate_workspace(workspace)
    assert problem.mend.endswith("mkdir pipelines && touch pipelines/__init__.py")


def test_every_shipped_declaration_is_valid() -> None:
    assert list((REPOSITORY / "pipelines").rglob("defs.yaml"))
    assert [str(problem) for problem in validate_workspace(Workspace(REPOSITORY))] == []


def test_every_kind_can_be_declared() -> None:
    assert {"Corpus", "Fit", "Shards", "Training"} <= set(component_kinds())


def test_a_hundred_files_need_neither_torch_nor_ray_nor_lance(workspace: Workspace) -> None:
    """Loading declarations stays quick whatever they later compute with."""
    for n in range(100):
        declare(workspace, CORPUS.replace("name: notes", f"name: notes_{n}"), f"pipeline_{n}")
    code = """
import sys
from pathlib import Path
from headwater.assets.validation import validate_workspace
from headwater.assets.definitions import load_definitions
from headwater.assets.workspace import Workspace
assert validate_workspace(Workspace(Path.cwd())) == []
assert len(load_definitions(Workspace(Path.cwd())).resolve_all_asset_specs()) == 401  # and withdrawals
heavy = ("torch", "ray", "lance", "pandas", "numba", "transformers", "matplotlib", "duckdb")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=workspace.root, capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr
