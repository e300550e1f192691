"""Pictures of the data stages, written as SVG by hand: bars and the S-curve of near-duplicate candidates.

A refresh of a small corpus takes less time than matplotlib takes to load, so what these stages show is simple enough
to be placed by arithmetic. The look is that of `plots`: the same colours, the same light card, text as text. Widths of
labels are estimated, since no font is opened.
"""

from collections.abc import Sequence
from html import escape
from math import floor, log10

import numpy as np

from headwater.assets.plots import BLUE, CARD, FAINT, GRID, INK, VERMILION, clean, shortened

_CHARACTER = 6.4  # points that a character of the ten-point font takes, on average and rounded up
_ROW = 23.0  # from one bar to the next, in points
_BAR = 16.0
_TOP, _FOOT = 30.0, 40.0  # room for the title above the axes, for ticks and the axis' name below


def bar_table(rows: Sequence[tuple[str, float]], title: str, unit: str = "documents", limit: int = 20) -> str:
    """Draw horizontal bars with their values, largest first, such as documents dropped by each rule.

    Args:
        rows: (label, value), values 0 or more.
        title: above the picture.
        unit: of the values.
        limit: the smaller rows beyond this many are summed into one bar, "N others".
    """
    ordered = [(shortened(label), value) for label, value in _largest(rows, limit)]
    left = 14 + _CHARACTER * max((len(label) for label, _ in ordered), default=0)
    width, bottom = 576.0, _TOP + _ROW * max(len(ordered), 2)
    ticks = _ticks(max((value for _, value in ordered), default=1.0))
    room = 14 + _CHARACTER * max((len(_figure(value)) for _, value in ordered), default=0)
    scale = (width - left - room) / max(ticks[-1], *(value for _, value in ordered), 1e-12)
    marks = [_tick_below(left + tick * scale, _TOP, bottom, _figure(tick)) for tick in ticks]
    for place, (label, value) in enumerate(ordered):
        middle, end = _TOP + _ROW * (place + 0.5), left + value * scale
        marks.append(_rectangle(left, middle - _BAR / 2, end - left, _BAR))
        marks.append(_text(left - 7, middle + 3.5, label, "end"))
        marks.append(_text(end + 4, middle + 3.5, _figure(value)))
    if not ordered:
        marks.append(_text((left + width) / 2, (_TOP + bottom) / 2, "nothing to show", "middle", FAINT))
    marks += _frame(left, width - 8, bottom, title, unit)
    return _card(width, bottom + _FOOT, marks)


def s_curve(points: Sequence[tuple[float, float]], threshold: float, similarity: str) -> str:
    """Draw how likely a pair of documents becomes a candidate, given its similarity.

    Args:
        points: (similarity, probability), both 0 to 1, the similarities ascending.
        threshold: the similarity from which a pair counts as a duplicate.
        similarity: what similarity means here.
    """
    left, right, bottom = 50.0, 420.0, 225.0

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * (right - left), bottom - y * (bottom - _TOP) / 1.03

    marks = []
    for tenth in range(0, 11, 2):
        x, y = at(tenth / 10, tenth / 10)
        marks.append(_tick_below(x, _TOP, bottom, f"{tenth / 10:.1f}"))
        marks += [_line(left - 4, y, right, y, GRID), _text(left - 7, y + 3.5, f"{tenth / 10:.1f}", "end")]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    marks.append(f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="1.8"/>')
    marks += _frame(left, right, bottom, "Chance that a pair becomes a candidate", similarity)
    middle = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 14 {middle:.1f})"'
    marks.append(_text(14, middle, "probability", "middle", extra=turned))
    x, top = at(threshold, 1.03)
    marks.append(_line(x, top, x, bottom, VERMILION, 'stroke-width="1.2" stroke-dasharray="5 3"'))
    if points:
        marks += _reading(points, threshold, at(threshold, _probability(points, threshold)))
    return _card(right + 14, bottom + _FOOT, marks)


def _largest(rows: Sequence[tuple[str, float]], limit: int) -> list[tuple[str, float]]:
    ordered = sorted(rows, key=lambda row: (-row[1], row[0]))
    if len(ordered) <= limit:
        return ordered
    rest = ordered[limit - 1 :]
    return [*ordered[: limit - 1], (f"{len(rest)} others", sum(value for _, value in rest))]


def _probability(points: Sequence[tuple[float, float]], threshold: float) -> float:
    similarities, probabilities = np.array(points, dtype=np.float64).T
    return float(np.interp(threshold, similarities, probabilities))


def _reading(points: Sequence[tuple[float, float]], threshold: float, place: tuple[float, float]) -> list[str]:
    """The point where the threshold meets the curve, and what it says."""
    x, y = place
    # The curve rises, so there is room above it to the left and below it to the right.
    side, offset, lift = ("end", -8, -18) if threshold > 0.3 else ("start", 8, 16)
    found = f"{_probability(points, threshold):.1%} found"
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{VERMILION}"/>',
        _text(x + offset, y + lift, found, side),
        _text(x + offset, y + lift + 12, f"at {threshold:g}", side),
    ]


def _ticks(largest: float) -> list[float]:
    """Round values from 0 up to the largest, at most seven: steps of 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** floor(log10(largest / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= largest / 5 * 0.999)
    return [step * number for number in range(floor(largest / step * 1.001) + 1)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def _frame(left: float, right: float, bottom: float, title: str, unit: str) -> list[str]:
    """The axes' lines, the title above them and the name of the lower one."""
    return [
        _line(left, _TOP, left, bottom, FAINT),
        _line(left, bottom, right, bottom, FAINT),
        _text(left, _TOP - 10, clean(title), size=11),
        _text((left + right) / 2, bottom + 33, clean(unit), "middle"),
    ]


def _tick_below(x: float, top: float, bottom: float, label: str) -> str:
    return _line(x, top, x, bottom + 4, GRID) + _text(x, bottom + 17, label, "middle")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, extra: str = 'stroke-width="0.8"') -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {extra}/>'


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{BLUE}"/>'


def _text(
    x: float, y: float, text: str, anchor: str = "start", colour: str = INK, size: int = 10, extra: str = ""
) -> str:
    style = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}" {extra}'.rstrip()
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _card(width: float, height: float, marks: Sequence[str]) -> str:
    """The picture on its light card, in points as matplotlib's are."""
    head = f'width="{width:g}pt" height="{height:g}pt" viewBox="0 0 {width:g} {height:g}"'
    body = "\n".join(marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {head} font-family="DejaVu Sans, sans-serif">\n'
        f'<rect width="100%" height="100%" fill="{CARD}"/>\n{body}\n</svg>\n'
    )
