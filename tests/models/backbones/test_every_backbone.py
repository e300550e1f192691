"""What every backbone promises, asked of every folder there is: a new one without a case here fails the suite."""

from typing import Any, NamedTuple

import pytest
import torch

from headwater.models.backbones.building import build_backbone, on_meta
from headwater.models.backbones.options import BackboneOptions
from headwater.models.discovery import parts

KINDS = parts("headwater.models.backbones", BackboneOptions)


class Case(NamedTuple):
    """Small options and the fields of three examples; parameters that `embed` uses not, and why not."""

    options: dict[str, Any]
    fields: dict[str, torch.Tensor]
    unused: dict[str, str] = {}


def rng():
    return torch.Generator().manual_seed(8)


TOKENS = {"tokens": torch.randint(0, 31, (3, 9), generator=rng()), "length": torch.tensor([9, 4, 1])}
IMAGES = {"image": torch.rand(3, 3, 16, 16, generator=rng())}
TEXT_SIZES = {"width": 16, "layers": 2, "heads": 2, "vocabulary_size": 31, "context_length": 16}
IMAGE_SIZES = {"image_size": 16, "patch_size": 8, "width": 16, "layers": 2, "heads": 2}
SPECTROGRAM = {"spectrogram": torch.rand(3, 16, 32, generator=rng())}
READS = "embed is the encoder's; the decoder and its cross attention write"
CASES: dict[str, dict[str, Case]] = {
    "decoder": {"": Case(TEXT_SIZES | {"tied": False}, TOKENS, {"head": "logits only"})},
    "transformer": {
        "encoder": Case(TEXT_SIZES, TOKENS),
        "decoder": Case(TEXT_SIZES | {"architecture": "decoder", "pooling": "last"}, TOKENS),
        "prefix_decoder": Case(TEXT_SIZES | {"architecture": "prefix_decoder"}, TOKENS),
        "encoder_decoder": Case(
            TEXT_SIZES | {"architecture": "encoder_decoder", "feed_forward": "gelu"}, TOKENS, {"decoder_": READS}
        ),
    },
    "vit": {
        "learned": Case(IMAGE_SIZES | {"mask_token": True}, IMAGES, {"mask_token": "stands for hidden patches only"}),
        "sincos": Case(IMAGE_SIZES | {"positions": "sincos", "pooling": "class_token"}, IMAGES),
        "spectrogram": Case(IMAGE_SIZES | {"image_size": (16, 32), "channels": 1, "class_token": False}, SPECTROGRAM),
    },
    "resnet": {
        "group": Case({"widths": (8, 16), "blocks": (1, 2)}, IMAGES),
        "batch": Case({"widths": (4, 8), "blocks": (1, 1), "block": "bottleneck", "norm": "batch"}, IMAGES),
        "large": Case({"widths": (8, 16), "blocks": (1, 1), "stem": "large"}, IMAGES),
    },
}
CASES["elastic_vit"] = {"": Case(IMAGE_SIZES | {"least_layers": 1}, IMAGES)}
CASES["two_tower"] = {
    "": Case(
        {
            "towers": {"text": {"kind": "transformer", **TEXT_SIZES}, "image": {"kind": "vit", **IMAGE_SIZES}},
            "embeds": "image",
        },
        IMAGES | TOKENS,
        {"towers.text": "the image tower embeds"},
    )
}
ROWS = {
    "columns": torch.randn(3, 4, generator=rng()),
    "categories": torch.tensor([[0, 2], [-1, 1], [1, 0]]),
}
ROW_SIZES = {"columns": 4, "categories": (2, 3)}
CASES["table_transformer"] = {
    pooling: Case(ROW_SIZES | {"width": 8, "layers": 2, "heads": 2, "pooling": pooling}, ROWS)
    for pooling in ("flatten", "mean", "extra")
}
CASES["mlp"] = {"": Case(ROW_SIZES | {"widths": (8, 8), "activation": "gelu"}, ROWS)}
GRAPHS = {
    "nodes": torch.rand(3, 5, 6, generator=rng()),
    "edges": torch.randint(-1, 5, (3, 2, 7), generator=rng()),
    "length": torch.tensor([5, 4, 1]),
}
CASES["unet"] = {
    "": Case(
        {"image_size": 16, "width": 8, "multiples": (1, 2), "attention": (8,)},
        IMAGES,
        {
            "up": "embed is the middle's; the way up writes",
            "grow": "as above",
            "norm": "as above",
            "out": "as above",
        },
    )
}
CASES["gcn"] = {"": Case({"features": 6, "width": 8, "layers": 2}, GRAPHS)}
CASES["task_vectors"] = {
    coefficients: Case(
        {"base": {"kind": "resnet", "widths": (8, 16), "blocks": (1, 1)}, "coefficients": coefficients},
        IMAGES,
        {"base.": "frozen", "coefficients": "a network that was built has no task vectors yet"},
    )
    for coefficients in ("block", "network")
}
EACH = [pytest.param(kind, case, id=f"{kind}-{name}") for kind, named in CASES.items() for name, case in named.items()]


def options_of(kind: str, case: Case) -> BackboneOptions:
    return KINDS[kind].model_validate({"kind": kind} | case.options)


def network(kind: str, case: Case, seed: int = 5) -> Any:
    """Built and with its norms' weights moved off one and zero, so that a forgotten one shows."""
    model = build_backbone(options_of(kind, case), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.rand(parameter.shape, generator=generator) * 0.1)
    return model


def test_every_kind_has_a_case():
    assert set(CASES) == set(KINDS), "add small options and fields for the new kind to CASES"


@pytest.mark.parametrize(("kind", "case"), EACH)
def test_on_meta_it_has_the_names_and_shapes_of_the_real_one(kind, case):
    options = options_of(kind, case)
    meta, real = on_meta(options), build_backbone(options, 1)
    assert all(tensor.is_meta for tensor in [*meta.parameters(), *meta.buffers()])
    assert {n: t.shape for n, t in meta.state_dict().items()} == {n: t.shape for n, t in real.state_dict().items()}
    assert dict(meta.dims) == dict(real.dims)
    matrices = {name for name, parameter in real.named_parameters() if parameter.ndim > 1}
    assert matrices & real.outer_parameters, "no parameter is called outer: are the names right?"


@pytest.mark.parametrize(("kind", "case"), EACH)
def test_weights_follow_from_the_seed_alone(kind, case):
    options = options_of(kind, case)
    model = build_backbone(options, 1)
    torch.rand(3)
    again = build_backbone(options, 1)
    with torch.no_grad():
        for tensor in [*again.parameters(), *again.buffers()]:
            tensor.fill_(7)
    again.initialise(1)
    here, there = ([*m.named_parameters(), *m.named_buffers()] for m in (model, again))
    assert all(torch.isfinite(tensor).all() for _, tensor in here)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(here, there, strict=True))
    other = build_backbone(options, 2)
    matrices = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    for name in matrices:
        assert not torch.equal(model.get_parameter(name), other.get_parameter(name)), f"{name} is not drawn"


@pytest.mark.parametrize(("kind", "case"), EACH)
def test_its_state_dict_is_all_that_it_depends_on(kind, case):
    model, other = network(kind, case, 1).eval(), build_backbone(options_of(kind, case), 2).eval()
    assert not torch.equal(model.embed(case.fields), other.embed(case.fields))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.embed(case.fields), other.embed(case.fields))


@pytest.mark.parametrize(("kind", "case"), EACH)
def test_an_example_has_a_vector_of_its_own(kind, case):
    model = network(kind, case)
    assert getattr(model, "couples_batch", False) == options_of(kind, case).needs_whole_batch
    if getattr(model, "couples_batch", False):
        with torch.no_grad():
            alone = torch.cat([model.embed({n: t[i : i + 1] for n, t in case.fields.items()}) for i in range(3)])
            assert not torch.allclose(alone, model.embed(case.fields), atol=1e-4), "it does not couple the batch"
        model.eval()
    with torch.no_grad():
        together = model.embed(case.fields)
        alone = torch.cat([model.embed({n: t[i : i + 1] for n, t in case.fields.items()}) for i in range(3)])
    assert together.shape == (3, model.dims["width"])
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=2e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


@pytest.mark.parametrize(("kind", "case"), EACH)
def test_every_parameter_learns(kind, case):
    model = network(kind, case)
    vectors = model.embed(case.fields)
    # A sum would be constant after a norm: a random direction is not.
    (vectors * torch.randn(vectors.shape, generator=rng())).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    expected = [name for name in idle if name.startswith(tuple(case.unused))] if case.unused else []
    assert idle == expected, "these parameters change nothing"
    for start in case.unused:
        assert any(name.startswith(start) for name in idle), f"{start} learns: take it off the list"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_sizes_follow_from_the_data_where_they_are_not_declared(kind):
    options = KINDS[kind]()
    for name, fact in options.follows.items():
        declared = getattr(options, name)
        if isinstance(declared, int):
            assert getattr(options.fitted_to({fact: declared * 2}), name) == declared * 2
            fixed = KINDS[kind].model_validate({name: declared})
            assert getattr(fixed.fitted_to({fact: declared * 2}), name) == declared
