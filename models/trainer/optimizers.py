"""The update rules, and their state as tensors named by parameter.

`OptimizerSet` holds one or more PyTorch optimizers over disjoint parameters, sets their learning rate each step, and
gives their state as `<parameter>.<slot>` tensors: what safetensors can hold and a person can read.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headwater.models.trainer.options import AdamWOptions, MuonOptions, Optimizer

# Coefficients of the quintic x -> a x + b x^3 + c x^5 tuned for slope at zero (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Replace each matrix (..., m, n) = U S V' by about U V': all singular values near 1 (0.7 to 1.2).

    Newton-Schulz iteration of Jordan et al. 2024, "Muon" (kellerjordan.github.io/posts/muon), which needs products
    only. In the type of its input.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for matrices (Jordan et al. 2024).

    The update is scaled by 0.2 sqrt(max(m, n)), so that its root mean square is AdamW's usual one and both share
    a learning rate and weight decay (Liu et al. 2025, "Muon is Scalable for LLM Training", arXiv:2502.16982, eq. 4).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], options: MuonOptions) -> None:
        self.options = options
        super().__init__(list(parameters), {"lr": options.learning_rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix; those of one shape are orthogonalised together."""
        assert closure is None
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for same in shapes.values():
                self._update(same, group["lr"])

    def _update(self, parameters: list[nn.Parameter], rate: float) -> None:
        directions = orthogonalise(
            torch.stack([self._momentum(parameter) for parameter in parameters]), self.options.newton_schulz_steps
        )
        scale = 0.2 * max(parameters[0].shape) ** 0.5
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.mul_(1 - rate * self.options.weight_decay).add_(direction, alpha=-rate * scale)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        assert parameter.grad is not None
        state, decay = self.state[parameter], self.options.momentum
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum"].lerp_(parameter.grad, 1 - decay)
        return parameter.grad.lerp(buffer, decay) if self.options.nesterov else buffer


def _adamw(parameters: Mapping[str, nn.Parameter], options: AdamWOptions | MuonOptions) -> torch.optim.AdamW:
    # Gains and biases are few and have their own scale: decay is for matrices.
    groups = [
        {"params": [p for p in parameters.values() if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=options.learning_rate, betas=options.betas, eps=options.epsilon, fused=True)


def _split(parameters: Mapping[str, nn.Parameter], outer: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    hidden = {name: p for name, p in parameters.items() if p.ndim == 2 and name not in outer}
    return hidden, {name: p for name, p in parameters.items() if name not in hidden}


class OptimizerSet:
    """The optimizers of one run over `parameters` by name; `outer` names those Muon must leave to AdamW."""

    def __init__(self, options: Optimizer, parameters: Mapping[str, nn.Parameter], outer: frozenset[str]) -> None:
        self.peak = options.learning_rate
        self.parameters = dict(parameters)
        self.optimizers: list[torch.optim.Optimizer] = []
        rest: Mapping[str, nn.Parameter] = parameters
        if isinstance(options, MuonOptions):
            hidden, rest = _split(parameters, outer)
            self.optimizers += [Muon(hidden.values(), options)] if hidden else []
        self.optimizers += [_adamw(rest, options)] if rest else []

    def step(self, multiplier: float) -> float:
        """Update with the peak rate times `multiplier`, and return the rate."""
        rate = self.peak * multiplier
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        return rate

    def forget_gradients(self) -> None:
        """Free the gradients. Before the next ones are made rather than after a step: freed last of all, they would
        take the heap's end with them back to the system, and the next step would fault its pages in again."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every slot of every parameter as `<parameter>.<slot>`."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.parameters.items()}
        return {
            f"{names[parameter]}.{slot}": value
            for optimizer in self.optimizers
            for parameter, slots in optimizer.state.items()
            for slot, value in slots.items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take a state that `state` gave. Raises ValueError when a parameter or shape is unknown."""
        slots: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, slot = key.rsplit(".", 1)
            if name not in self.parameters:
                raise ValueError(f"the saved optimizer state is of a parameter that this model lacks: {name}")
            if value.ndim and value.shape != self.parameters[name].shape:
                raise ValueError(f"the saved {slot} of {name} has shape {tuple(value.shape)}")
            slots.setdefault(name, {})[slot] = value
        for optimizer in self.optimizers:
            members = {id(p) for group in optimizer.param_groups for p in group["params"]}
            for name, parameter in self.parameters.items():
                if id(parameter) in members and name in slots:
                    optimizer.state[parameter] = {
                        slot: value.to(parameter.device, copy=True) for slot, value in slots[name].items()
                    }
