"""Views of graphs against brute force: distances by breadth-first search in plain Python, contexts node by node."""

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.models.views.graphs import Remembered, adjacency, steps_between
from headwater.models.views.label_context.estimates import iterated, propagated
from headwater.models.views.options import any_view
from headwater.models.views.protocol import ExampleRandom

GRAPHS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)
NODES = 7


def neighbours(pairs):
    found = [set() for _ in range(NODES)]
    for one, other in pairs:
        if one != other:
            found[one].add(other)
            found[other].add(one)
    return found


def distances(pairs, source):
    """Steps from one node to every other, by a queue; -1: no way."""
    steps, waiting, near = [-1] * NODES, deque([source]), neighbours(pairs)
    steps[source] = 0
    while waiting:
        here = waiting.popleft()
        for there in near[here]:
            if steps[there] < 0:
                steps[there] = steps[here] + 1
                waiting.append(there)
    return steps


def edges_of(pairs):
    return torch.tensor([*pairs, (-1, -1)]).T


def viewed(options, batch):
    return any_view(options).build()(batch, ExampleRandom(1, torch.tensor([5])))


@given(GRAPHS)
@settings(max_examples=20, deadline=None)
def test_steps_are_those_of_a_search_from_every_node(pairs):
    steps = steps_between(adjacency(edges_of(pairs), NODES), torch.arange(NODES))
    assert steps.T.tolist() == [distances(pairs, source) for source in range(NODES)]
    short = steps_between(adjacency(edges_of(pairs), NODES), torch.arange(NODES), 1)
    assert torch.equal(short, torch.where(steps > 1, -1, steps))


@given(GRAPHS)
@settings(max_examples=15, deadline=None)
def test_nearness_is_the_mean_over_known_nodes_of_one_by_the_steps(pairs):
    labels = [0, 1, 1, -1, -1, -1, -1]
    batch = {"nodes": torch.zeros(1, NODES, 2), "edges": edges_of(pairs)[None], "known_label": torch.tensor([labels])}
    told = viewed({"kind": "label_context", "about": "distance", "classes": 3}, batch)["label_context"][0]
    assert told[:3].isnan().all()
    for node in range(3, NODES):
        for number, known in enumerate(([0], [1, 2], [])):
            near = [1 / d if (d := distances(pairs, source)[node]) > 0 else 0.0 for source in known]
            assert told[node, number] == pytest.approx(np.mean(near) if near else 0.0)


@given(GRAPHS)
@settings(max_examples=15, deadline=None)
def test_a_context_counts_the_classes_one_and_two_steps_away(pairs):
    labels = torch.tensor([[0, 1, 2, -1, -1, -1, -1]])
    batch = {"nodes": torch.zeros(1, NODES, 2), "edges": edges_of(pairs)[None], "known_label": labels}
    found = viewed({"kind": "label_context", "classes": 3, "estimates": ["propagation"]}, batch)
    near = neighbours(pairs)
    chances = propagated(adjacency(edges_of(pairs), NODES), labels[0], 3, 100)
    for node in range(NODES):
        counts = [0.0, 0.0, 0.0]
        for reached in (near[node], {far for by in near[node] for far in near[by]} - {node}):
            for other in reached:
                if chances[other].sum() > 0:
                    counts[int(found["estimated_label"][0, other])] += 1
        expected = np.array(counts) / max(sum(counts), 1) if node > 2 else np.zeros(3)
        np.testing.assert_allclose(found["label_context"][0, node], expected, atol=1e-6)


def test_propagated_chances_are_the_harmonic_solution():
    """Unknown nodes solve (D - A) f = A_known y (Zhu et al. 2003, equation 5)."""
    pairs = [(0, 3), (3, 4), (4, 5), (5, 1), (4, 6), (6, 2), (3, 5)]
    adjacent = adjacency(edges_of(pairs), NODES)
    labels = torch.tensor([0, 1, 2, -1, -1, -1, -1])
    matrix, known = adjacent.double().numpy(), np.eye(3)
    laplacian = np.diag(matrix[3:].sum(1)) - matrix[3:, 3:]
    expected = np.linalg.solve(laplacian, matrix[3:, :3] @ known)
    np.testing.assert_allclose(propagated(adjacent, labels, 3, 500)[3:], expected, atol=1e-5)


def test_iterative_classification_uses_neighbours_where_features_say_nothing():
    """Two chains of nodes; the features of all but their known heads and seconds are noise."""
    pairs = [(n, n + 1) for n in range(9)] + [(n, n + 1) for n in range(10, 19)]
    truth = torch.tensor([0] * 10 + [1] * 10)
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.where(torch.isin(torch.arange(20), torch.tensor([0, 1, 2, 10, 11, 12])), truth, -1)
    adjacent = adjacency(edges_of(pairs), 20)
    around = iterated(features, adjacent, labels, 2, 10, 0.01).argmax(1)
    alone = iterated(features, torch.zeros_like(adjacent), labels, 2, 10, 0.01).argmax(1)
    assert (around == truth).sum() > (alone == truth).sum()
    assert torch.equal(around[labels >= 0], truth[labels >= 0])


@given(GRAPHS.filter(lambda pairs: any(a != b for a, b in pairs)), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_hidden_edges_are_edges_and_none_of_them_is_left(pairs, seed):
    batch = {"nodes": torch.zeros(1, NODES, 2), "edges": edges_of(pairs)[None]}
    view = any_view({"kind": "node_pairs", "share": 0.5}).build()
    found = view(batch, ExampleRandom(seed, torch.tensor([3])))
    near = neighbours(pairs)
    left = {frozenset(pair) for pair in found["edges"][0].T.tolist() if pair[0] >= 0}
    for (one, other), target in zip(found["pairs"][0].tolist(), found["pair_target"][0].tolist(), strict=True):
        if target == 1:
            assert one == other or other in near[one]
            assert frozenset((one, other)) not in left
        if target == 0:
            assert one != other
            assert other not in near[one]


def test_pairs_of_every_distance_are_as_many():
    pairs = [(n, n + 1) for n in range(5)]  # a chain, and node 6 alone
    batch = {"nodes": torch.zeros(1, NODES, 2), "edges": edges_of(pairs)[None]}
    found = viewed({"kind": "node_pairs", "about": "distance", "count": 8, "most": 3}, batch)
    assert torch.bincount(found["pair_target"][0]).tolist() == [8, 8, 8]
    for (one, other), target in zip(found["pairs"][0].tolist(), found["pair_target"][0].tolist(), strict=True):
        steps = distances(pairs, one)[other]
        assert target == (2 if steps < 0 or steps >= 3 else steps - 1)


def test_likeness_is_the_cosine_and_holds_extremes():
    nodes = torch.randn(1, NODES, 3, generator=torch.Generator().manual_seed(2))
    found = viewed({"kind": "node_pairs", "about": "similarity", "count": 200, "alike": 1}, {"nodes": nodes})
    cosines = torch.nn.functional.cosine_similarity(nodes[0][:, None], nodes[0][None], dim=2)
    first, second = found["pairs"][0].unbind(1)
    torch.testing.assert_close(found["pair_target"][0, :, 0], cosines[first, second])
    highest = cosines.fill_diagonal_(-2).max(1).values
    distances = (highest[:, None] - found["pair_target"].flatten()[None]).abs()
    assert (distances.min(1).values < 1e-6).all()


def test_few_labels_are_few_of_each_class_and_the_same_for_every_presentation():
    labels = torch.tensor([[0, 0, 0, 1, 1, 1, -1, 0]])
    split = torch.tensor([[0, 0, 0, 0, 1, 2, 0, 2]])
    batch = {"node_label": labels, "node_split": split}
    view = any_view({"kind": "few_labels", "shots": 2}).build()
    found = view(batch, ExampleRandom(1, torch.tensor([5])))
    assert torch.equal(found["known_label"], view(batch, ExampleRandom(9, torch.tensor([7])))["known_label"])
    assert (found["known_label"] == 0).sum() == 2
    assert found["known_label"][0, 3:].tolist() == [1, -1, -1, -1, -1]
    assert found["shown_label"][0, 4:].tolist() == [1, 1, -1, 0]


def test_hidden_features_are_told_and_no_others():
    nodes = torch.randn(1, 10, 3, generator=torch.Generator().manual_seed(1))
    found = viewed({"kind": "hide_node_features", "share": 0.3}, {"nodes": nodes})
    hidden = (found["nodes"][0] == 0).all(1)
    assert hidden.sum() == 3
    assert torch.equal(found["node_features"][0, hidden], nodes[0, hidden])
    assert found["node_features"][0, ~hidden].isnan().all()
    assert torch.equal(found["nodes"][0, ~hidden], nodes[0, ~hidden])


def test_what_is_remembered_is_of_equal_tensors_alone():
    made = []
    double = Remembered(lambda x: made.append(1) or 2 * x)
    x = torch.tensor([1.0])
    assert double(x).item() == 2.0
    assert double(torch.tensor([1.0])).item() == 2.0
    assert len(made) == 1
    x[0] = 3.0
    assert double(x).item() == 6.0
    assert double(torch.tensor([1.0])).item() == 2.0
    assert len(made) == 2
