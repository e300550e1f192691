"""Pictures for asset pages and reports, drawn by matplotlib in one style; `plain_plots` has the simplest without it.

Each function returns SVG text and, given `png`, also writes a PNG. SVG is deterministic (no date, fixed ids), holds
text as text, and is small enough to travel inside metadata: lines are thinned to about 600 points in a way that keeps
every spike, coordinates to a tenth of a point. The light card behind each picture keeps it legible on dark pages too;
colours are those of Okabe and Ito (2008), told apart with any colour vision. matplotlib's Figure is used directly, so
no window system is ever asked for.
"""

import base64
import io
import itertools
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # matplotlib takes a third of a second to load: it is, when a picture is drawn
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, FAINT, GRID, CARD = "#222222", "#6B6B6B", "#DDDDDD", "#FCFCFA"
_CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_MAX_POINTS = 600

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headwater",
    "text.parse_math": False,  # labels come from data, where a dollar sign is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "axes.facecolor": CARD,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.constrained_layout.use": True,
}
# matplotlib's settings belong to the process: two pictures drawn at once by two threads would mix them.
_LOCK = threading.Lock()
# What XML 1.0 cannot hold; a label made of data may.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_PATH = re.compile(r' d="[^"]*"')
_NUMBER = re.compile(r"-?\d+\.\d+")


def loss_curve(
    steps: ArrayLike,
    losses: ArrayLike,
    smoothed: ArrayLike | None = None,
    learning_rate: ArrayLike | None = None,
    spikes: Sequence[int] = (),
    png: Path | None = None,
) -> str:
    """Draw the training loss over steps.

    Args:
        steps: optimizer steps, ascending.
        losses: loss in nats per token at each step; one that is not finite leaves a gap.
        smoothed: a smoothed loss at each step, drawn on top.
        learning_rate: at each step, drawn faintly against its own axis.
        spikes: steps to mark, those that are among `steps`.
        png: where to write the same picture as PNG.
    """
    x, y = _floats(steps), _floats(losses)

    def draw(axes: "Axes") -> None:
        axes.plot(*_thin(x, y), color=SKY, linewidth=1, label="loss")
        if smoothed is not None:
            axes.plot(*_thin(x, _floats(smoothed)), color=BLUE, linewidth=1.8, label="smoothed")
        marked = np.isin(x, np.asarray(spikes, dtype=np.float64)) & np.isfinite(y)
        if marked.any():
            axes.plot(x[marked][:200], y[marked][:200], "v", color=VERMILION, markersize=6, label="spike")
        axes.set(title="Training loss", xlabel="step", ylabel="loss (nats per token)")
        handles, labels = axes.get_legend_handles_labels()
        if learning_rate is not None:
            other = axes.twinx()
            (line,) = other.plot(*_thin(x, _floats(learning_rate)), color=ORANGE, linewidth=1, linestyle="--")
            other.set_ylabel("learning rate")
            other.grid(False)
            other.set_ylim(bottom=0)
            handles, labels = [*handles, line], [*labels, "learning rate"]
        axes.legend(handles, labels, loc="upper right")

    return _render(draw, (8, 3.6), png)


def histogram(
    values: ArrayLike,
    title: str,
    xlabel: str,
    bins: int = 60,
    threshold: float | None = None,
    png: Path | None = None,
) -> str:
    """Draw how values are distributed; those that are not finite are left out, and their number is stated.

    Args:
        values: any number of values.
        title: above the picture.
        xlabel: what the values are, with their unit.
        bins: number of bars.
        threshold: a value to mark, such as a rule's limit.
        png: where to write the same picture as PNG.
    """
    numbers = _floats(values)
    usable = numbers[np.isfinite(numbers)]

    def draw(axes: "Axes") -> None:
        counts, edges = np.histogram(usable, bins=bins) if len(usable) else (np.zeros(1), np.array([0.0, 1.0]))
        axes.stairs(counts, edges, fill=True, color=BLUE)
        if threshold is not None:
            axes.axvline(threshold, color=VERMILION, linestyle="--", linewidth=1.2, label=f"{threshold:g}")
            axes.legend(loc="upper right")
        missing = len(numbers) - len(usable)
        axes.set(title=clean(title), ylabel="count", ylim=(0, None))
        axes.set_xlabel(clean(xlabel) + (f" ({missing:,} without a value)" if missing else ""))

    return _render(draw, (8, 3.2), png)


def bits_per_byte_bars(
    figures: Mapping[str, Mapping[str, float | None]],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    model: str = "model",
    png: Path | None = None,
) -> str:
    """Draw bits per byte of the model and its yardsticks, sources one below the other; shorter is better.

    Args:
        figures: source → method → bits per byte; None draws no bar. At most six methods.
        intervals: source → the model's interval.
        model: which method the intervals belong to.
        png: where to write the same picture as PNG.
    """
    methods = list(dict.fromkeys(method for row in figures.values() for method in row))
    colours = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION]
    if len(methods) > len(colours):
        raise ValueError(f"{len(methods)} methods in one picture, at most {len(colours)} can be told apart")
    height = 0.8 / max(len(methods), 1)

    def draw(axes: "Axes") -> None:
        places = np.arange(len(figures))
        for number, method in enumerate(methods):
            values = [_number(row.get(method)) for row in figures.values()]
            at = (places + (number - (len(methods) - 1) / 2) * height).tolist()
            axes.barh(at, np.nan_to_num(values), height=height * 0.92, color=colours[number], label=clean(method))
            known = intervals if intervals and method == model else {}
            for place, value, source in zip(at, values, figures, strict=True):
                _label_bar(axes, place, value, known.get(source))
        axes.set_yticks(places, [shortened(source) for source in figures])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.15)
        axes.set(title="Held-out text: shorter is better", xlabel="bits per byte")
        if methods:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return _render(draw, (8, 1.2 + 0.22 * max(len(figures) * (len(methods) + 1), 4)), png)


def seed_points(
    values: Mapping[str, Sequence[float]],
    intervals: Mapping[str, tuple[float, float] | None],
    title: str,
    png: Path | None = None,
) -> str:
    """Draw one point per seed for each arm, joined across arms by seed, with each arm's mean and interval.

    Args:
        values: arm → one finite value for each seed, the same seeds in the same order for every arm.
        intervals: arm → interval of the mean, or None where one seed gives none.
        title: above the picture, and along the axis: what the values are.
        png: where to write the same picture as PNG.
    """

    def draw(axes: "Axes") -> None:
        places = list(range(len(values)))
        rows = [list(row) for row in values.values()]
        if len({len(row) for row in rows}) == 1:
            for seed in zip(*rows, strict=True):
                axes.plot(seed, places, color=GRID, linewidth=1.2, zorder=1)
        for place, (arm, row) in enumerate(values.items()):
            axes.plot(row, [place] * len(row), "o", color=BLUE, markersize=6, alpha=0.75, zorder=3)
            bounds, mean = intervals.get(arm), sum(row) / max(len(row), 1)
            if bounds is not None:
                axes.plot(bounds, [place - 0.2] * 2, color=VERMILION, linewidth=1.6, marker="|", markersize=7)
            axes.plot([mean], [place - 0.2], "D", color=VERMILION, markersize=4.5, zorder=3)
        axes.set_yticks(places, [shortened(arm) for arm in values])
        axes.set_ylim(len(values) - 0.5, -0.6)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
        axes.set(title=clean(title) + ": each seed, mean and 95 % interval", xlabel=clean(title))

    return _render(draw, (8, 1.3 + 0.42 * max(len(values), 2)), png)


def curves_over(
    curves: Mapping[str, Mapping[int, Sequence[float]]], title: str, across: str, up: str, png: Path | None = None
) -> str:
    """Draw one line for each curve through the means of its points, and every value as a faint dot.

    Args:
        curves: name → place on the horizontal axis → values there, one or more, finite.
        title: above the picture.
        across: what the horizontal axis is.
        up: what the vertical axis is.
        png: where to write the same picture as PNG.
    """

    def draw(axes: "Axes") -> None:
        for (name, curve), colour in zip(curves.items(), itertools.cycle(_CYCLE), strict=False):
            places = sorted(curve)
            means = [sum(curve[x]) / len(curve[x]) for x in places]
            axes.plot(places, means, "o-", color=colour, linewidth=1.8, markersize=5, label=shortened(name))
            for x in places:
                axes.plot([x] * len(curve[x]), curve[x], "o", color=colour, markersize=3.5, alpha=0.35)
        axes.set(title=clean(title), xlabel=clean(across), ylabel=clean(up))
        axes.set_ylim(bottom=min(0.0, *(v for c in curves.values() for own in c.values() for v in own), 0.0))
        if curves:
            axes.legend(loc="upper left")

    return _render(draw, (8, 3.6), png)


def shares_map(
    columns: Sequence[str],
    rows: Sequence[str],
    shares: Sequence[Sequence[float]],
    title: str,
    across: str,
    up: str,
    png: Path | None = None,
) -> str:
    """Draw a grid of shares, the darker the greater, each with its number.

    Args:
        columns, rows: labels, from the upper left.
        shares: by row, one value from 0 to 1 for each column; one that is not finite leaves its cell empty.
        title: above the picture.
        across: what the columns are.
        up: what the rows are.
        png: where to write the same picture as PNG.
    """
    values = np.array([[_number(share) for share in row] for row in shares])

    def draw(axes: "Axes") -> None:
        axes.pcolormesh(values, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors=CARD, linewidth=1.5)
        for (row, column), share in np.ndenumerate(values):
            if np.isfinite(share):
                colour = CARD if share > 0.55 else INK
                axes.text(column + 0.5, row + 0.5, f"{share:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(np.arange(len(columns)) + 0.5, [shortened(label) for label in columns])
        axes.set_yticks(np.arange(len(rows)) + 0.5, [shortened(label) for label in rows])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set(title=clean(title), xlabel=clean(across), ylabel=clean(up))

    return _render(draw, (1.6 + 0.9 * max(len(columns), 3), 1.4 + 0.4 * max(len(rows), 2)), png)


def as_markdown_image(svg: str, alt: str = "plot") -> str:
    """Return the picture as a Markdown image that carries its own data, for Dagster's Markdown metadata."""
    encoded = base64.b64encode(svg.encode()).decode("ascii")
    plain = re.sub(r"[^\w .,:-]", " ", alt)
    return f"![{plain}](data:image/svg+xml;base64,{encoded})"


def thumbnail(x: ArrayLike, y: ArrayLike, points: int = 56) -> str:
    """Return a curve as a Markdown image of under 900 characters: Dagster shows longer Markdown behind a link only.

    Args:
        x, y: the curve, of equal length; points that are not finite are left out.
        points: to how many points it is thinned, each the mean of its neighbours.
    """
    xs, ys = _floats(x), _floats(y)
    keep = np.isfinite(xs) & np.isfinite(ys)
    parts = [part for part in np.array_split(np.column_stack((xs[keep], ys[keep])), points) if len(part)]
    if not parts:
        return ""
    means = np.array([part.mean(axis=0) for part in parts])
    spread = np.maximum(np.ptp(means, axis=0), 1e-12)
    places = np.rint((means - means.min(axis=0)) / spread * (240, 60)).astype(int)
    line = ",".join(f"{left},{62 - up}" for left, up in places.tolist())
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='240' height='64'><polyline points='{line}' fill='none' "
        f"stroke='{BLUE}' stroke-width='2'/></svg>"
    )
    return f"![curve](data:image/svg+xml,{quote(svg, safe=',:/=')})"


def _render(draw: "Callable[[Axes], None]", size: tuple[float, float], png: Path | None) -> str:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _LOCK, matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        if png is not None:
            png.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(png, format="png", dpi=144, metadata={"Software": None})
    return _PATH.sub(lambda path: _NUMBER.sub(_rounded, path.group()), text.getvalue())


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group()):.1f}"


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep the lowest and highest finite point of each stretch, in order, and the first and the last of all."""
    finite = np.isfinite(y)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} points along the axis and {len(y)} values: one of each is needed")
    if len(x) <= _MAX_POINTS:
        return x, np.where(finite, y, np.nan)
    keep = {0, len(x) - 1}
    for stretch in np.array_split(np.arange(len(x)), _MAX_POINTS // 2):
        usable = stretch[finite[stretch]]
        # A stretch without one finite value keeps a point, so that the line shows the gap.
        keep.update((int(stretch[0]),) if not len(usable) else (_at(np.argmin, usable, y), _at(np.argmax, usable, y)))
    rows = np.array(sorted(keep))
    return x[rows], np.where(finite, y, np.nan)[rows]


def _at(choose: Callable[[NDArray[np.float64]], Any], rows: NDArray[np.intp], y: NDArray[np.float64]) -> int:
    return int(rows[int(choose(y[rows]))])


def _label_bar(axes: "Axes", place: float, value: float, bound: tuple[float, float] | None) -> None:
    """Write a bar's value behind it, or behind its interval's whiskers."""
    end = 0.0 if np.isnan(value) else value
    if bound is not None:
        axes.plot(bound, [place, place], color=INK, linewidth=1.2, marker="|", markersize=6)
        end = max(end, bound[1])
    text = "–" if np.isnan(value) else f"{value:.3f}"
    axes.annotate(text, (end, place), (6, 0), textcoords="offset points", va="center", fontsize=8, color=INK)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _number(value: float | None) -> float:
    return float("nan") if value is None or not np.isfinite(value) else float(value)


def shortened(label: str, length: int = 40) -> str:
    """A label made of data, in at most so many characters of one line."""
    text = clean(label)
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(text: str) -> str:
    """The text as one line that XML can hold."""
    return _NOT_XML.sub("\ufffd", text).replace("\n", " ")
