"""Self-distillation in three branches: a teacher, the student, and a smaller network drawn from the student.

POA (Zhang et al. 2024, arXiv:2408.01031, sections 3.1 and 3.3). The teacher averages the whole student. At each step a
width and a depth are drawn, and that part of the student learns beside the whole: both from the teacher across crops,
and the part from the whole at the same crop. So every part is trained as if it were alone, and can be taken out at the
end. Several heads with different numbers of prototypes judge; the teacher's scores become assignments in which each
prototype is equally frequent (Sinkhorn and Knopp; Caron et al. 2020, arXiv:2006.09882, section 3.1).

Published weights of the terms, for the recipe: intact 0.8, elastic 0.2, same_view and same_view_small 0.2. Published
and not here: masked patches (iBOT) and the spreading of features (KoLeo), which other objectives beside this one give.

Shapes: B examples, K prototypes of a head, W width of the whole student, w of its part.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from headwater.models.objectives.base import BaseObjective
from headwater.models.objectives.batches import counted, crops_of, view_of
from headwater.models.objectives.layers import PrototypeHead
from headwater.models.objectives.poa.options import PoaOptions
from headwater.models.objectives.protocol import Coupling, Losses, Step, Term

Scores = list[list[Tensor]]  # by head, then by crop: (B, K)
Pairs = Sequence[tuple[int, int]]  # (crop of the one that teaches, crop of the one that learns)


class Poa(BaseObjective[PoaOptions]):
    """Sums of cross-entropies (nats) over examples and pairs of crops, mean over heads, and their numbers.

    The student is an `elastic_vit`: `sizes` are its parts' (width, depth), and `embed(fields, width, depth)` (B, w)
    runs one. Without `elastic` any network with `embed(fields)` will do.
    """

    @property
    def couples(self) -> Coupling:
        """Prototypes are made equally frequent within a batch, and one part is drawn for all of it."""
        return Coupling.BATCH

    def heads(self, dims: Mapping[str, int]) -> nn.ModuleDict:
        """`prototypes_<K>` for each number of prototypes."""
        o = self.options
        return nn.ModuleDict(
            {f"prototypes_{k}": PrototypeHead(dims["width"], o.hidden, o.bottleneck, k, o.norm) for k in o.prototypes}
        )

    def losses(self, step: Step) -> Losses:
        """`intact`, `elastic` (from the teacher, across crops), `same_view` and, of small crops, `same_view_small`."""
        o, heat = self.options, self.options.temperature
        crops = crops_of(step.batch, o.field, o.large, o.small)
        targets = self._targets(step)
        across = [(t, s) for t in range(len(o.large)) for s in range(len(crops)) if t != s]
        whole = self._told(step, crops, None)
        terms = {"intact": _agreement(targets, whole, across, heat)}
        if o.elastic:
            part = self._told(step, crops, drawn_size(step))
            shown = [[(score.detach() / heat).softmax(dim=1) for score in own] for own in whole]
            same = [(number, number) for number in range(len(crops))]
            terms["elastic"] = _agreement(targets, part, across, heat)
            terms["same_view"] = _agreement(shown, part, same[: len(o.large)], heat)
            if o.small:
                terms["same_view_small"] = _agreement(shown, part, same[len(o.large) :], heat)
        return Losses(terms)

    def _told(self, step: Step, crops: Sequence[Mapping[str, Tensor]], size: tuple[int, int] | None) -> Scores:
        """The scores of the student, or of its part of that width and depth, for every crop."""
        width = int(step.student.dims["width"])
        vectors = [step.student.embed(crop, *(size or ())) for crop in crops]
        return [[head(widened(one, width)).float() for one in vectors] for head in step.heads.values()]

    @torch.no_grad()
    def _targets(self, step: Step) -> Scores:
        """The teacher's assignments of the large crops; all crops of a batch share the prototypes out together."""
        teacher = step.teachers[self.options.teacher]
        vectors = torch.cat([teacher.model.embed(view_of(step.batch, view)) for view in self.options.large])
        heat = self._teacher_temperature(step.progress)
        found = [equipartition(head(vectors).float(), heat, self.options.rounds) for head in teacher.heads.values()]
        return [list(one.chunk(len(self.options.large))) for one in found]

    def _teacher_temperature(self, progress: float) -> float:
        o = self.options
        share = min(1.0, progress / o.warmup) if o.warmup else 1.0
        return o.first_teacher_temperature + share * (o.teacher_temperature - o.first_teacher_temperature)


def drawn_size(step: Step) -> tuple[int, int]:
    """Width and depth of one of the student's parts, each as likely; never the whole.

    Raises:
        ValueError: the student has no smaller parts.
    """
    *smaller, _ = getattr(step.student, "sizes", ((0, 0),))
    if not smaller:
        raise ValueError(
            "poa needs a student with smaller parts: an elastic_vit with least_heads below heads or least_layers below "
            "layers; or declare elastic: false"
        )
    place = torch.randint(len(smaller), (), generator=step.rng, device=step.rng.device)
    return smaller[int(place)]


def widened(vectors_Bw: Tensor, width: int) -> Tensor:
    """Vectors (B, W) that a full head reads as a narrower one would: the first w of its columns, times W / w."""
    missing = width - vectors_Bw.shape[1]
    return functional.pad(vectors_Bw * (width / vectors_Bw.shape[1]), (0, missing)) if missing else vectors_Bw


def equipartition(scores_NK: Tensor, temperature: float, rounds: int) -> Tensor:
    """Chances (N, K) of prototypes, rows summing to 1, columns nearly equal: `rounds` of scaling columns, then rows."""
    logs = scores_NK / temperature
    for _ in range(rounds):
        logs = logs.log_softmax(dim=0).log_softmax(dim=1)
    return logs.exp()


def _agreement(wanted: Scores, told: Scores, pairs: Pairs, heat: float) -> Term:
    """Cross-entropies of chances and scores, over pairs of crops; mean over heads."""
    sums = []
    for chances, scores in zip(wanted, told, strict=True):
        logs = [(score / heat).log_softmax(dim=1) for score in scores]
        sums += [-(chances[t] * logs[s]).sum() for t, s in pairs]
    total = torch.stack(sums).sum() / len(wanted)
    return Term(total, counted(len(pairs) * len(told[0][0]), total))
