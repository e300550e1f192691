"""Update rules against exact orthogonalisation and PyTorch's own AdamW; their state round-trips by name."""

import pytest
import torch
from torch import nn

from headwater.models.backbones.decoder import build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.trainer.optimizers import OptimizerSet, orthogonalise
from headwater.models.trainer.options import AdamWOptions, MuonOptions


@pytest.mark.parametrize("shape", [(32, 32), (16, 48), (48, 16), (3, 24, 40)])
def test_newton_schulz_approaches_the_orthogonal_factor(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    result = orthogonalise(matrices, steps=10)
    singular = torch.linalg.svdvals(result)
    assert 0.65 < float(singular.min()) <= float(singular.max()) < 1.25
    # Same singular directions: U' X V is diagonal.
    core = u.mT @ result @ vh.mT
    torch.testing.assert_close(core, torch.diag_embed(core.diagonal(dim1=-2, dim2=-1)), atol=2e-3, rtol=0)


def parameters():
    model = build_decoder(DecoderOptions(width=16, layers=1, heads=2, vocabulary_size=30, tied=False), 0)
    return model, dict(model.named_parameters())


def gradients(named, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in named.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_equals_torch_with_decay_on_matrices_only():
    _, ours = parameters()
    _, theirs = parameters()
    options = AdamWOptions(learning_rate=0.01, weight_decay=0.5)
    mine = OptimizerSet(options, ours, frozenset())
    matrices, vectors = ([p for p in theirs.values() if (p.ndim == 2) is flag] for flag in (True, False))
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.005, betas=(0.9, 0.95), weight_decay=0.5, fused=False)
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        assert mine.step(0.5) == 0.005
        reference.step()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=1e-5)


def test_muon_takes_hidden_matrices_and_leaves_the_rest_to_adamw():
    model, named = parameters()
    optimizer = OptimizerSet(MuonOptions(), named, model.outer_parameters)
    gradients(named, 0)
    optimizer.step(1.0)
    by_muon = {key.removesuffix(".momentum") for key in optimizer.state() if key.endswith(".momentum")}
    assert by_muon == {n for n, p in named.items() if p.ndim == 2 and n not in ("embedding.weight", "head.weight")}
    assert {"embedding.weight.exp_avg", "head.weight.exp_avg_sq", "norm.weight.step"} <= optimizer.state().keys()


def test_a_muon_step_is_the_papers_formula():
    weight = nn.Parameter(torch.randn(12, 8, generator=torch.Generator().manual_seed(1)))
    before, options = weight.detach().clone(), MuonOptions(learning_rate=0.1, weight_decay=0.5, momentum=0.9)
    optimizer = OptimizerSet(options, {"w": weight}, frozenset())
    momentum = torch.zeros_like(before)
    for step in range(3):
        gradients({"w": weight}, step)
        momentum = 0.9 * momentum + 0.1 * weight.grad
        direction = orthogonalise(0.1 * weight.grad + 0.9 * momentum)
        before = before * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 12**0.5 * direction
        optimizer.step(1.0)
        torch.testing.assert_close(weight.detach(), before, atol=1e-5, rtol=1e-5)
    # Root mean square of the update is near AdamW's usual 0.2 to 0.4 per unit of learning rate.
    assert 0.1 < float((direction * 0.2 * 12**0.5).square().mean().sqrt()) < 0.4


@pytest.mark.parametrize("options", [AdamWOptions(), MuonOptions()], ids=lambda o: o.kind)
def test_state_restores_exactly(options):
    model, named = parameters()
    optimizer = OptimizerSet(options, named, model.outer_parameters)
    for step in range(3):
        gradients(named, step)
        optimizer.step(1.0)
    copy_model, copies = parameters()
    copy_model.load_state_dict(model.state_dict())
    copy = OptimizerSet(options, copies, copy_model.outer_parameters)
    copy.load({name: tensor.clone() for name, tensor in optimizer.state().items()})
    for both, tensors in ((optimizer, named), (copy, copies)):
        gradients(tensors, 9)
        both.step(0.7)
    assert all(torch.equal(named[name], copies[name]) for name in named)
    assert optimizer.state().keys() == copy.state().keys()


def test_foreign_state_is_refused():
    optimizer = OptimizerSet(AdamWOptions(), {"w": nn.Parameter(torch.zeros(2, 2))}, frozenset())
    with pytest.raises(ValueError, match="lacks: v"):
        optimizer.load({"v.exp_avg": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
        optimizer.load({"w.exp_avg": torch.zeros(3, 2)})
