"""Parts are found by folder; a user's own class is named by its import path and stays what it is."""

from typing import ClassVar, Literal

import dagster as dg
import pytest
from pydantic import Field, TypeAdapter, ValidationError

from headwater.assets.training.component import Training
from headwater.assets.training.parts import BACKBONES, VIEWS
from headwater.models.backbones.options import BackboneOptions, DecoderOptions
from headwater.models.discovery import choice, import_object, parts, read
from headwater.models.views.options import ViewOptions


class Mirror(ViewOptions):
    """A view of a user's own."""

    built_by: ClassVar[str] = "test_discovery:MirrorView"

    kind: Literal["mirror"] = Field("mirror", description="Turns images round.")
    times: int = Field(1, description="How often.")

    def needs(self) -> frozenset[str]:
        return frozenset({"image"})

    def gives(self) -> frozenset[str]:
        return frozenset({"image"})


class MirrorView:
    def __init__(self, options: Mirror) -> None:
        self.options = options

    def __call__(self, batch, random):
        return {"image": batch["image"].flip(-1) if self.options.times % 2 else batch["image"]}


OWN = f"{Mirror.__module__}:Mirror"


def test_every_part_can_be_built_from_what_it_names():
    families = {**parts(BACKBONES, BackboneOptions), **parts(VIEWS, ViewOptions)}
    assert {"decoder", "vit", "scale_pixels"} <= families.keys()
    for options in families.values():
        assert callable(import_object(options.built_by))


def test_a_users_class_is_chosen_by_its_path_and_written_so_again():
    made = TypeAdapter(choice(VIEWS, ViewOptions)).validate_python({"kind": OWN, "times": 3})
    assert isinstance(made, Mirror)
    assert made.build().options.times == 3
    told = made.model_dump(mode="json")
    assert told == {"kind": OWN, "times": 3}
    assert read(told, VIEWS, ViewOptions) == made
    assert made.fitted_to({"times": 5}) == made


def test_a_known_part_is_written_by_its_kind():
    told = DecoderOptions(width=64, heads=2).model_dump(mode="json")
    assert told["kind"] == "decoder"
    assert read(told, BACKBONES, BackboneOptions) == DecoderOptions.model_validate(told)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"kind": "no.such.module:Options"}, "cannot be imported"),
        ({"kind": f"{Mirror.__module__}:MirrorView"}, "is no ViewOptions"),
        ({"kind": OWN, "often": 2}, "often"),
    ],
)
def test_a_wrong_path_or_option_is_said(value, what):
    with pytest.raises(ValidationError, match=what):
        TypeAdapter(choice(VIEWS, ViewOptions)).validate_python(value)


def test_a_declaration_with_ones_own_view_loads_at_every_scale(monkeypatch):
    """Through the component's loader, where options are written and read once more when a scale changes them."""
    declared = {
        "name": "learner",
        "shards": "pairs",
        "views": [{"kind": OWN, "times": 2}],
        "scales": {"smoke": {"recipe": {"steps": 3}}},
    }
    monkeypatch.setenv("HEADWATER_SCALE", "smoke")
    attributes = Training.options_type.model_validate(declared)
    loaded = Training.load(attributes, dg.ComponentTree.for_test().load_context)
    assert loaded.options.recipe.steps == 3
    assert loaded.options.views[0] == Mirror(times=2)
