"""How the learning room finds what it has: one folder per backbone, objective, view or probe, and no list to keep.

A part is a folder with two files: `options.py` (what a declaration may say; no torch) and the module that does it. Its
options class derives the family's base (`ObjectiveOptions`, …), has a `kind` of its own, and names in `built_by` what
it builds. Whatever a folder of the family offers is thereby known to declarations, to editors, to the reference and to
the tests that every part must pass. A class of a user's own is named by its import path: `kind: my_package.parts:Mine`.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
)

from headwater.models.options import Options


class PartOptions(Options):
    """Options that build something: `built_by` is the import path "package.module:name", called with the options."""

    built_by: ClassVar[str]
    # Options that follow the data where a declaration leaves them out: name of the option → name of the fact.
    # Facts: vocabulary_size, context_length (tokens of a sample), image_size, channels, columns, features, classes, …
    follows: ClassVar[Mapping[str, str]] = {}

    def fitted_to(self, facts: Mapping[str, Any]) -> Self:
        """These options with every size that the declaration left out taken from the data."""
        update = {o: facts[f] for o, f in self.follows.items() if o not in self.model_fields_set and f in facts}
        said = self.model_dump(exclude_unset=True, exclude={"kind"})
        return type(self).model_validate(said | update) if update else self

    @model_serializer(mode="wrap")
    def _with_own_kind(self, known: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A user's own class is written by its import path, so that it is read again as what it is."""
        values: dict[str, Any] = known(self)
        own = type(self)
        if not own.__module__.startswith(__package__.partition(".")[0] + "."):
            values["kind"] = f"{own.__module__}:{own.__qualname__}"
        return values

    def build(self, *arguments: Any, **named: Any) -> Any:
        """What these options stand for, built now; torch is loaded here and not before."""
        return import_object(self.built_by)(self, *arguments, **named)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is built: the part's whole folder, or a user's module without one."""
        module = self.built_by.partition(":")[0]
        return (module.rpartition(".")[0] or module,)


def import_object(path: str) -> Any:
    """What "package.module:name" stands for.

    Raises:
        ValueError: the module or the name in it is missing; says which.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"'{path}' cannot be imported ({error}); write it as package.module:name") from error


def kind_of(options: type[Options]) -> str | None:
    """The value of `kind` that chooses an options class in a declaration; None for a base class."""
    field = options.model_fields.get("kind")
    values = get_args(field.annotation) if field is not None else ()
    return str(values[0]) if values and get_args(Literal[values[0]]) == values else None


@cache
def parts(package: str, base: type[PartOptions]) -> dict[str, type[PartOptions]]:
    """All options classes of a family by kind, in alphabetical order.

    Read from `<package>.options` and `<package>.<folder>.options`, whatever other files there are.

    Raises:
        TypeError: two classes claim one kind.
    """
    home = importlib.import_module(package)
    names = [f"{package}.options"] + [
        f"{package}.{folder.name}.options" for folder in pkgutil.iter_modules(home.__path__) if folder.ispkg
    ]
    found: dict[str, type[PartOptions]] = {}
    for name in names:
        if importlib.util.find_spec(name) is None:
            continue
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == name and kind_of(value):
                kind = kind_of(value) or ""
                if kind in found:
                    raise TypeError(f"{found[kind].__module__} and {name} both offer the kind '{kind}'")
                found[kind] = value
    return dict(sorted(found.items()))


def read(values: Any, package: str, base: type[PartOptions]) -> Any:
    """The options that JSON values of any part of a family stand for. Raises ValidationError where they are wrong."""
    return TypeAdapter(choice(package, base)).validate_python(values)


def choice(package: str, base: type[PartOptions], *others: type[PartOptions]) -> Any:
    """The type of an option that is any part of a family, told apart by `kind`, a user's own class included.

    `others` are options classes that live elsewhere and may be chosen too.
    """

    def own_class(value: Any, known: ValidatorFunctionWrapHandler) -> Any:
        kind = value.get("kind") if isinstance(value, dict) else None
        if isinstance(value, base) and type(value) not in found.values():
            return value
        if not isinstance(kind, str) or ":" not in kind:
            return known(value)
        options = import_object(kind)
        if not (isinstance(options, type) and issubclass(options, base)):
            raise ValueError(f"{kind} is no {base.__name__}")
        return options.model_validate({name: item for name, item in value.items() if name != "kind"})

    found = parts(package, base) | {kind_of(other) or "": other for other in others}
    union: Any = reduce(or_, found.values()) if found else base  # a family may have no part of its own yet
    told_apart: Any = Annotated[union, Field(discriminator="kind")] if len(found) > 1 else union
    return Annotated[told_apart, WrapValidator(own_class)]
