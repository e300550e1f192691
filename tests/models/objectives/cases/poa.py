"""Self-distillation with an elastic student, over large and small crops of tiny images."""

import numpy as np
import pytest
import torch
from objective_case import Case, Paper, unchanged
from slow_numpy import batch_norm, gelu, linear, softmax, unit
from toy_students import ImageStudent, drawn, image_views

from headwater.models.backbones.building import build_backbone
from headwater.models.backbones.elastic_vit.options import ElasticViTOptions
from headwater.models.objectives.poa.objective import drawn_size, equipartition, widened
from headwater.models.objectives.poa.options import PoaOptions
from headwater.models.trainer.composition import AverageTeacherOptions

MODEL = ElasticViTOptions(image_size=4, patch_size=2, width=12, layers=2, heads=3, least_layers=1)


def crops(seed, step):
    batch = image_views(seed, step, "abcde")
    return {
        "image_a": batch["image_a"],
        "image_b": batch["image_b"],
        "image_local": torch.stack([batch["image_c"], batch["image_d"], batch["image_e"]], dim=1),
    }


def scores(rows, heads, name, norm):
    """A head; of narrower vectors only the columns that they have are read, and made larger by W / w."""
    first = heads[f"{name}.layers.0.weight"]
    scale = first.shape[1] / len(rows[0])
    hidden = np.array([[scale * sum(row[i] * x[i] for i in range(len(x))) for row in first] for x in rows])
    second, last = ("3", "6") if norm == "batch" else ("2", "4")
    if norm == "batch":
        hidden = batch_norm(hidden, heads[f"{name}.layers.1.weight"], heads[f"{name}.layers.1.bias"])
        hidden = np.array([heads[f"{name}.layers.{second}.weight"] @ gelu(x) for x in hidden])
        hidden = batch_norm(hidden, heads[f"{name}.layers.4.weight"], heads[f"{name}.layers.4.bias"])
    else:
        hidden = hidden + heads[f"{name}.layers.0.bias"]
        hidden = [linear(gelu(x), heads, f"{name}.layers.{second}") for x in hidden]
    directions = [unit(linear(gelu(x), heads, f"{name}.layers.{last}")) for x in hidden]
    return [np.array([unit(row) @ x for row in heads[f"{name}.prototypes"]]) for x in directions]


def assignments(rows, heat, rounds):
    """Columns are scaled to sums of N / K, then rows to sums of 1, so many times."""
    chances = np.exp(np.array(rows) / heat)
    for _ in range(rounds):
        chances *= len(chances) / chances.shape[1] / chances.sum(0, keepdims=True)
        chances /= chances.sum(1, keepdims=True)
    return chances


def reference(given):
    """For each head: -sum of p_t log p_s for each pair of a teaching and a learning crop."""
    o, heads, found = given.options, given.student.heads, {}
    names = [f"prototypes_{number}" for number in o.prototypes]
    embedded = given.student.outputs["embed"]
    number = len(embedded) // 2 if o.elastic else len(embedded)
    whole, part = embedded[:number], embedded[number:]
    assert not part or part[0].shape[1] <= whole[0].shape[1]
    share = min(1, given.progress / o.warmup)
    heat = (1 - share) * o.first_teacher_temperature + share * o.teacher_temperature

    def add(term, chances, vectors):
        for chance, told in zip(chances, scores(vectors, heads, name, o.norm), strict=True):
            total, count = found.get(term, (0.0, 0))
            total -= chance @ np.log(softmax(told / o.temperature)) / len(names)
            found[term] = total, count + (1 if name == names[0] else 0)

    for name in names:
        seen = given.teachers["ema"].outputs["embed"]
        rows = scores([x for crop in seen for x in crop], given.teachers["ema"].heads, name, o.norm)
        targets = np.split(assignments(rows, heat, o.rounds), 2)
        for s in range(number):
            for t in (0, 1):
                if s != t:
                    add("intact", targets[t], whole[s])
                    if o.elastic:
                        add("elastic", targets[t], part[s])
            if o.elastic:
                shown = [softmax(told / o.temperature) for told in scores(whole[s], heads, name, o.norm)]
                add("same_view" if s < 2 else "same_view_small", shown, part[s])
    return found


def a_part_learns_from_the_whole_and_not_the_whole_from_it(lab):
    """Terms between the student and its part move the part's slices alone: the whole is only heard."""
    if not lab.case.options.elastic:
        return
    term = lab.losses(lab.batch()).terms["same_view"].total
    width, depth = drawn_size(lab.step(lab.batch()))
    slope = torch.autograd.grad(term, lab.student.positions)[0]
    assert (slope[:, width:] == 0).all()
    assert (slope[:, :width] != 0).any()
    unused = [n for n in range(2) if depth == 1 and n != 0]
    for number in unused:
        term = lab.losses(lab.batch()).terms["same_view"].total
        slope = torch.autograd.grad(term, lab.student.blocks[number].up.weight, allow_unused=True)[0]
        assert slope is None or (slope == 0).all()


def large_crops_may_be_exchanged(lab):
    unchanged(lab, lambda batch: batch | {"image_a": batch["image_b"], "image_b": batch["image_a"]})


def a_part_is_judged_as_if_taken_out(lab):
    """Embedding by a part and by the network that is taken out are the same, so are their scores."""
    if not lab.case.options.elastic:
        return
    width, depth = drawn_size(lab.step(lab.batch()))
    fields, head = {"image": lab.batch()["image_a"]}, lab.heads["prototypes_10"]
    with torch.no_grad():
        taken = head(widened(lab.student.extract(width, depth).embed(fields), 12))
        assert torch.equal(taken, head(widened(lab.student.embed(fields, width, depth), 12)))


def every_part_is_drawn_and_never_the_whole(lab):
    if not lab.case.options.elastic:
        with pytest.raises(ValueError, match="needs a student with smaller parts"):
            drawn_size(lab.step(lab.batch())._replace(student=ImageStudent()))
        return
    step, seen = lab.step(lab.batch()), set()
    for seed in range(80):
        seen.add(drawn_size(step._replace(rng=torch.Generator().manual_seed(seed))))
    assert seen == set(lab.student.sizes) - {(12, 2)}


def prototypes_become_equally_frequent(lab):
    drawn_scores = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    chances = equipartition(drawn_scores, 0.5, 200)
    torch.testing.assert_close(chances.sum(1), torch.ones(40))
    torch.testing.assert_close(chances.sum(0), torch.full((8,), 5.0), atol=1e-3, rtol=0)
    shifted = equipartition(drawn_scores + torch.arange(8.0), 0.5, 200)  # a favoured prototype gains nothing
    torch.testing.assert_close(shifted, chances, atol=1e-3, rtol=0)
    assert equipartition(drawn_scores, 1e-3, 3).isfinite().all()


SMALL = {"prototypes": (10, 6), "hidden": 14, "bottleneck": 8, "first_teacher_temperature": 0.1, "warmup": 0.6}


def case(batch, student=lambda seed: build_backbone(MODEL, seed), **options):
    return Case(
        options=PoaOptions(**SMALL, **options),
        student=student,
        batch=batch,
        reference=reference,
        teachers={"ema": AverageTeacherOptions(momentum=0.9)},
        # ViT-L: from 1024, four heads of hidden 2048 and bottleneck 256.
        paper=Paper(
            PoaOptions(),
            {"width": 1024},
            4 * (1025 * 2048 + 2049 * 2048 + 2049 * 256) + (8192 + 16384 + 32768 + 65536) * 256,
        ),
        invariances={
            "exchange": large_crops_may_be_exchanged,
            "heard": a_part_learns_from_the_whole_and_not_the_whole_from_it,
            "taken_out": a_part_is_judged_as_if_taken_out,
            "drawn": every_part_is_drawn_and_never_the_whole,
            "equal": prototypes_become_equally_frequent,
        },
        learns=False,  # the teacher's targets move and sharpen
    )


CASES = {
    "two_crops": case(lambda *place: image_views(*place, "ab")),
    "multi_crop": case(crops, small="local"),
    "normed": case(lambda *place: image_views(*place, "ab"), norm="batch"),
    "alone": case(lambda *place: image_views(*place, "ab"), lambda seed: drawn(ImageStudent(), seed), elastic=False),
}
