"""What all components share: typed options from YAML, turned into stages, turned into Dagster assets.

A component says nothing but ``stages(pipeline)``. It can be built from YAML or in Python, with the same options::

    Corpus(name="notes", sources=[{"kind": "text_files", "path": "notes/*.md"}])
"""

import re
from pathlib import Path
from typing import Any, ClassVar, Self

import dagster as dg
from pydantic import BaseModel

from headwater.assets.automation.condition import with_conditions
from headwater.assets.dagster_assets import asset_of
from headwater.assets.likeness import VARIANTS, variants_of
from headwater.assets.options import Options
from headwater.assets.redaction import note_declared
from headwater.assets.scales import at_scale, chosen_scale
from headwater.assets.stages import Stage


class TemplateError(ValueError):
    """A template of a declaration gives nothing, such as a variable of the environment that is not set."""


class StageComponent(dg.Component):
    """Base of the kinds of asset."""

    options_type: ClassVar[type[Options]]

    def __init__(self, options: Options | None = None, **attributes: Any) -> None:
        self.options: Any = options or self.options_type(**at_scale(attributes, chosen_scale()))
        self.variants = [type(self)(**each) for each in variants_of(attributes, type(self).__name__)]

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The model that YAML attributes are validated with, and that editors complete from."""
        return cls.options_type

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Builds the component from YAML; ``{{ env.NAME }}`` and the like are resolved in text values.

        Raises:
            TemplateError: one of them gives nothing.
        """
        given = attributes.model_dump(exclude_unset=True) if attributes else {}
        variants = given.pop(VARIANTS, None) or {}
        try:
            resolved = _resolved(given, context)
        except TemplateError as error:
            raise TemplateError(f"{given.get('name', cls.__name__)}: {error}") from error
        as_given = resolved == given and not given.get("scales")
        component = cls(attributes) if isinstance(attributes, cls.options_type) and as_given else cls(**resolved)
        for name, own in variants.items():  # as documents of their own: joined with what is written, not what it means
            document = cls.get_model_cls().model_validate({**own, "name": name, "like": given["name"]})
            component.variants.append(cls.load(document, context))
        return component

    def stages(self, pipeline: str) -> list[Stage]:
        """The stages of this component, inputs first, without those of its variants."""
        raise TypeError(f"{type(self).__name__} must say its stages")

    def definitions(self, pipeline: str) -> dg.Definitions:
        """What Dagster is given: the component's assets and its variants', in the group named by the pipeline."""
        stages = [stage for component in (self, *self.variants) for stage in component.stages(pipeline)]
        return dg.Definitions(assets=[asset_of(stage) for stage in stages])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The component's definitions; its pipeline is the folder that declares it."""
        return self.definitions(Path(context.path).name)


def pipeline_definitions(pipeline: str, *components: StageComponent) -> dg.Definitions:
    """A pipeline written in Python: the same components, the same assets as its YAML would give."""
    return with_conditions(dg.Definitions.merge(*(component.definitions(pipeline) for component in components)))


def _resolved(value: Any, context: dg.ComponentLoadContext) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, context) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, context) for item in value]
    if isinstance(value, str) and "{{" in value:
        for template in re.findall(r"{{.*?}}", value):
            note_declared(template)
            if context.resolution_context.resolve_value(template) is None:
                raise TemplateError(f"'{template}' in '{value}' gives nothing; is the environment variable set?")
        return str(context.resolution_context.resolve_value(value))  # templates stand for text: '8' stays a text
    return value
