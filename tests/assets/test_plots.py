import base64
import re
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest

from headwater.assets import plots

GENERATOR = np.random.default_rng(0)
STEPS = np.arange(50_000)
LOSSES = 3 + GENERATOR.normal(0, 0.3, len(STEPS))
SVG = "{http://www.w3.org/2000/svg}"


def noisy_loss():
    return plots.loss_curve(STEPS, LOSSES, LOSSES[::-1], LOSSES * 1e-3, [100, 40_000])


PICTURES = {
    "loss": noisy_loss,
    "histogram": lambda: plots.histogram(GENERATOR.normal(size=100), "Length", "bytes", threshold=0.5),
    "bits": lambda: plots.bits_per_byte_bars({"a": {"model": 1.0, "gzip": 2.0}}, {"a": (0.9, 1.1)}),
    "no values": lambda: plots.histogram([], "Length", "bytes"),
    "no steps": lambda: plots.loss_curve([], []),
    "no finite loss": lambda: plots.loss_curve([1, 2], [np.nan, np.inf], spikes=[2]),
    "no sources": lambda: plots.bits_per_byte_bars({}),
}


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def line_of(svg, colour):
    """The points of the line in this colour, in the picture's coordinates."""
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if f"stroke: {colour.lower()}" in path.get("style", "") and len(path.get("d")) > 60:
            return np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.get("d")), dtype=float)
    raise AssertionError(f"no line in {colour}")


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_valid_small_and_fit_into_metadata(name):
    svg = PICTURES[name]()
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert len(plots.as_markdown_image(svg)) < 60_000


def test_pictures_are_the_same_each_time_and_from_several_threads():
    def draw(_):
        return noisy_loss(), plots.histogram([1.0, 2.0], "T", "x")

    first = draw(0)
    with ThreadPoolExecutor(3) as pool:
        assert all(pictures == first for pictures in pool.map(draw, range(3)))
    assert "date" not in first[0].lower()


def test_thinning_keeps_every_spike_and_the_ends():
    losses = LOSSES.copy()
    losses[31_337], losses[777] = 40.0, -20.0
    x, y = plots._thin(STEPS.astype(float), losses)
    assert len(x) <= 602
    assert y.max() == 40.0
    assert y.min() == -20.0
    assert (x[0], x[-1]) == (0, len(STEPS) - 1)
    assert np.all(np.diff(x) > 0)
    assert np.array_equal(y, losses[x.astype(int)])
    drawn = line_of(plots.loss_curve(STEPS, losses), plots.SKY)
    assert drawn[:, 1].min() < np.median(drawn[:, 1]) - 100  # the spike reaches the top of the picture


def test_losses_that_are_not_finite_leave_a_gap():
    losses = LOSSES.copy()
    losses[10_000:20_000] = np.nan
    _, y = plots._thin(STEPS.astype(float), losses)
    assert np.isnan(y).any()
    assert np.isfinite(y).sum() > 400


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 points along the axis and 3 values"):
        plots.loss_curve([1, 2], [1.0, 2.0, 3.0])


def test_spikes_and_learning_rate_appear_in_the_legend_only_when_there_are_any():
    plain = texts(plots.loss_curve([1, 2, 3], [3.0, 2.0, 1.0], spikes=[9]))
    full = texts(plots.loss_curve([1, 2, 3], [3.0, 2.0, 1.0], [3, 2.5, 1.5], [0.1, 0.2, 0.1], [2]))
    assert "spike" not in plain
    assert {"loss", "smoothed", "spike", "learning rate"} <= set(full)


def test_missing_figures_are_drawn_as_missing():
    shown = texts(plots.bits_per_byte_bars({"a": {"model": 1.25, "xz": None}, "b": {"model": float("nan")}}))
    assert shown.count("–") == 3  # xz of a, both of b
    assert "1.250" in shown
    with pytest.raises(ValueError, match="7 methods in one picture"):
        plots.bits_per_byte_bars({"a": {f"m{i}": 1.0 for i in range(7)}})


def test_the_histogram_states_how_many_values_are_missing():
    assert "bytes (2 without a value)" in texts(plots.histogram([1, 2, np.nan, np.inf], "Length", "bytes"))


def test_a_png_is_written_beside_and_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        plots.histogram([1.0, 2.0], "T", "x", png=tmp_path / "new" / f"{name}.png")
    first, second = ((tmp_path / "new" / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert first.startswith(b"\x89PNG")
    assert first == second


def test_the_markdown_image_carries_the_picture():
    svg = plots.histogram([1.0, 2.0], "T", "x")
    image = plots.as_markdown_image(svg, "drops](x) by rule")
    alt, data = re.fullmatch(r"!\[([^\]]*)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", image).groups()
    assert alt == "drops  x  by rule"
    assert base64.b64decode(data).decode() == svg


def test_a_map_has_a_cell_and_a_number_for_each_share(tmp_path):
    shares = [[0.0, 0.25], [1.0, float("nan")]]
    labels = (["128", "256"], ["0", "50"])
    svg = plots.shares_map(*labels, shares, "a < b", "tokens", "depth", png=tmp_path / "map.png")
    assert svg == plots.shares_map(*labels, shares, "a < b", "tokens", "depth")
    assert all(f">{text}<" in svg for text in ("128", "256", "0", "50", "0.00", "0.25", "1.00", "tokens", "depth"))
    assert "nan" not in svg
    assert "a &lt; b" in svg
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
