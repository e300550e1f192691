"""Pictures of a report as inline SVG: the graph of assets and the training curves.

Colours are classes of the page's style sheet, so that a picture follows light, dark and print with the page. All text
that comes from data is escaped.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

POINTS = 400  # of a curve at most; a longer one keeps the lowest and highest of each stretch
_WIDE, _HIGH, _GAP_X, _GAP_Y = 256, 48, 20, 34
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 240, 58, 12, 16, 34


class Node(NamedTuple):
    """A box of the graph: its key, two lines of text, and a style class."""

    key: str
    title: str
    note: str
    style: str


def draw_graph(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], label: str) -> str:
    """Draws boxes in layers, each below all that it is made from.

    Args:
        edges: (key of what is consumed, key of its consumer); without circles.
        label: what the picture shows, for screen readers.
    """
    layers = _layers([node.key for node in nodes], edges)
    rows: dict[int, list[Node]] = {}
    for node in nodes:
        rows.setdefault(layers[node.key], []).append(node)
    widest = max((len(row) for row in rows.values()), default=1)
    width, height = widest * (_WIDE + _GAP_X), len(rows) * (_HIGH + _GAP_Y) - _GAP_Y + 8
    places = {}
    for depth, row in rows.items():
        start = (width - len(row) * (_WIDE + _GAP_X) + _GAP_X) / 2
        for at, node in enumerate(row):
            places[node.key] = (start + at * (_WIDE + _GAP_X), depth * (_HIGH + _GAP_Y) + 4)
    lines = [_edge(places[one], places[other], layers[other] - layers[one] > 1) for one, other in edges]
    boxes = [_box(node, *places[node.key]) for node in nodes]
    return _svg("graph", width, height, label, [*lines, *boxes])


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], label: str, unit: str, smooth: bool = False
) -> str:
    """Draws lines over the step, one per name; values that are not finite are left out.

    Args:
        curves: name → (steps, values).
        unit: written along the vertical axis.
        smooth: draw each line faintly, and on top of it its moving average over a fiftieth of the run.
    """
    known = {name: _finite(*curve) for name, curve in curves.items()}
    xs = [x for x_values, _ in known.values() for x in x_values]
    ys = [y for _, y_values in known.values() for y in y_values]
    if not xs:
        return ""
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))
    across = _scale(x_ticks, _LEFT, _WIDTH - _RIGHT)
    up = _scale(y_ticks, _HEIGHT - _BOTTOM, _TOP)
    parts = _axes(x_ticks, y_ticks, across, up, unit)
    for number, (name, (x_values, y_values)) in enumerate(known.items()):
        style = f"line c{number % 6}"
        shown = [(f"{style} faint", y_values), (style, _smoothed(y_values))] if smooth else [(style, y_values)]
        for classes, values in shown:
            path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in _thin(x_values, values))
            parts.append(f'<polyline class="{classes}" points="{path}"><title>{escape(name)}</title></polyline>')
    if len(known) > 1:
        parts += _legend(list(known))
    return _svg("curve", _WIDTH, _HEIGHT, label, parts)


def _svg(style: str, width: float, height: float, label: str, parts: Sequence[str]) -> str:
    size = f"max-width:{width:.0f}px;min-width:min({width:.0f}px,28rem)"  # a wider page never blows it up
    box = f'viewBox="0 0 {width:.0f} {height:.0f}" style="{size}"'
    return f'<svg class="{style}" {box} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _layers(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each key's distance from the farthest root."""
    layers = dict.fromkeys(keys, 0)
    for _ in keys:
        moved = False
        for one, other in edges:
            if layers[other] <= layers[one]:
                layers[other], moved = layers[one] + 1, True
        if not moved:
            break
    return layers


def _box(node: Node, x: float, y: float) -> str:
    title = _cut(node.title, 32)
    return (
        f'<g class="node {node.style}"><title>{escape(node.title)}: {escape(node.note)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_WIDE}" height="{_HIGH}" rx="7"/>'
        f'<text class="name" x="{x + 11:.1f}" y="{y + 20:.1f}">{escape(title)}</text>'
        f'<text class="note" x="{x + 11:.1f}" y="{y + 37:.1f}">{escape(_cut(node.note, 42))}</text></g>'
    )


def _edge(one: tuple[float, float], other: tuple[float, float], far: bool) -> str:
    x1, y1, x2, y2 = one[0] + _WIDE / 2, one[1] + _HIGH, other[0] + _WIDE / 2, other[1]
    if far and abs(x1 - x2) < 1:  # round the boxes between
        side = one[0] + _WIDE + _GAP_X / 2
        out = f"C{x1:.1f},{y1 + 20:.1f} {side:.1f},{y1:.1f} {side:.1f},{y1 + 30:.1f}"
        back = f"L{side:.1f},{y2 - 30:.1f} C{side:.1f},{y2:.1f} {x2:.1f},{y2 - 20:.1f} {x2:.1f},{y2:.1f}"
        return f'<path class="edge" d="M{x1:.1f},{y1:.1f} {out} {back}"/>'
    middle = (y1 + y2) / 2
    curve = f"C{x1:.1f},{middle:.1f} {x2:.1f},{middle:.1f} {x2:.1f},{y2:.1f}"
    return f'<path class="edge" d="M{x1:.1f},{y1:.1f} {curve}"/>'


def _legend(names: Sequence[str]) -> list[str]:
    return [
        f'<text class="legend c{number % 6}" x="{_WIDTH - _RIGHT}" y="{_TOP + 12 + 16 * number}" text-anchor="end">'
        f"{escape(name)}</text>"
        for number, name in enumerate(names[:8])
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round values that enclose the range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _axes(x_ticks: Sequence[float], y_ticks: Sequence[float], across: "_Scale", up: "_Scale", unit: str) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for y in y_ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        place = f'x="{across(x):.1f}" y="{bottom + 16}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{x:,g}</text>')
    parts.append(f'<text class="axis" x="{right}" y="{_HEIGHT - 3}" text-anchor="end">step</text>')
    parts.append(f'<text class="axis" x="{_LEFT}" y="{_TOP - 6}">{escape(unit)}</text>')
    return parts


class _Scale(NamedTuple):
    low: float
    span: float
    start: float
    length: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / self.span * self.length


def _scale(ticks: Sequence[float], start: float, stop: float) -> _Scale:
    return _Scale(ticks[0], ticks[-1] - ticks[0], start, stop - start)


def _finite(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    kept = [(x, y) for x, y in zip(steps, values, strict=True) if y is not None and math.isfinite(y)]
    return [x for x, _ in kept], [y for _, y in kept]


def _smoothed(values: Sequence[float]) -> list[float]:
    """Exponential moving average over about a fiftieth of the run."""
    decay, mean, smooth = 1 - 1 / max(len(values) / 50, 1), 0.0, []
    for at, value in enumerate(values):
        mean = value if at == 0 else decay * mean + (1 - decay) * value
        smooth.append(mean)
    return smooth


def _thin(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    if len(x) <= POINTS:
        return list(zip(x, y, strict=True))
    keep = {0, len(x) - 1}
    size = len(x) * 2 / POINTS
    for number in range(POINTS // 2):
        stretch = range(int(number * size), min(int((number + 1) * size), len(x)))
        keep |= {min(stretch, key=y.__getitem__), max(stretch, key=y.__getitem__)} if stretch else set()
    return [(x[at], y[at]) for at in sorted(keep)]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
