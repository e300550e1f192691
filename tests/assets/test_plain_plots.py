import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from headwater.assets import plain_plots, plots

SVG = "{http://www.w3.org/2000/svg}"
CURVE = [(t / 200, (t / 200) ** 4) for t in range(201)]
PICTURES = {
    "s_curve": lambda: plain_plots.s_curve(CURVE, 0.7, "Jaccard"),
    "low threshold": lambda: plain_plots.s_curve(CURVE, 0.1, "Jaccard"),
    "no points": lambda: plain_plots.s_curve([], 0.7, "Jaccard"),
    "bars": lambda: plain_plots.bar_table([(f"rule {i}", i * 1000.0) for i in range(200)], "Dropped"),
    "no bars": lambda: plain_plots.bar_table([], "Dropped"),
    "bars of nothing": lambda: plain_plots.bar_table([("a", 0.0), ("b", 0.0)], "Dropped"),
    "small and large": lambda: plain_plots.bar_table([("a", 1e-3), ("b", 3e9)], "Dropped"),
}


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bars(svg):
    return [float(bar.get("width")) for bar in ElementTree.fromstring(svg).iter(f"{SVG}rect") if bar.get("x")]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_valid_small_and_the_same_each_time(name):
    svg = PICTURES[name]()
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert len(plots.as_markdown_image(svg)) < 60_000
    assert PICTURES[name]() == svg


@pytest.mark.parametrize("name", PICTURES)
def test_everything_lies_on_the_card(name):
    tree = ElementTree.fromstring(PICTURES[name]())
    width, height = (float(number) for number in tree.get("viewBox").split()[2:])
    for node in tree.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.get(key, 0)) <= width
        for key in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.get(key, 0)) <= height
        if node.tag == f"{SVG}rect" and node.get("x"):
            assert float(node.get("x")) + float(node.get("width")) <= width


def test_bars_are_as_long_as_their_values():
    long, short, none = bars(plain_plots.bar_table([("a", 50.0), ("b", 200.0), ("c", 0.0)], "Dropped"))
    assert short == pytest.approx(long / 4, abs=0.1)
    assert none == 0


def test_bars_are_ordered_and_the_small_ones_summed():
    labels = texts(plain_plots.bar_table([(f"rule {i}", float(i)) for i in range(1, 31)], "Dropped", limit=5))
    shown = [label for label in labels if label.startswith("rule") or label.endswith("others")]
    assert shown == ["rule 30", "rule 29", "rule 28", "rule 27", "26 others"]
    assert f"{sum(range(1, 27))}" in labels


@pytest.mark.parametrize("largest", [0.003, 0.9, 1, 7, 10, 99, 812, 1_000_000, 123_456_789])
def test_ticks_are_few_round_and_reach_far_enough(largest):
    ticks = plain_plots._ticks(largest)
    assert ticks[0] == 0
    assert 3 <= len(ticks) <= 7
    assert largest / 2 <= ticks[-1] <= largest * 1.01
    assert f"{ticks[1]:e}"[0] in "125"


def test_labels_from_data_are_shown_as_they_are():
    svg = plain_plots.bar_table([("$x^2 <b>&\x00\x1b", 1.0), ("a" * 100, 2.0)], "cost in $ and $\n")
    shown = texts(svg)
    assert "$x^2 <b>&\ufffd\ufffd" in shown
    assert "cost in $ and $ " in shown
    assert "a" * 39 + "…" in shown


def test_the_s_curve_reads_the_probability_at_the_threshold():
    svg = plain_plots.s_curve([(0.0, 0.0), (0.5, 0.2), (1.0, 1.0)], 0.75, "Jaccard similarity of the shingles")
    assert {"60.0% found", "at 0.75"} <= set(texts(svg))
    point = ElementTree.fromstring(svg).find(f"{SVG}circle")
    line = re.findall(r"([\d.]+),([\d.]+)", ElementTree.fromstring(svg).find(f"{SVG}polyline").get("points"))
    (x1, y1), (x2, y2) = ((float(x), float(y)) for x, y in line[1:])
    assert float(point.get("cx")) == pytest.approx((x1 + x2) / 2, abs=0.1)
    assert float(point.get("cy")) == pytest.approx((y1 + y2) / 2, abs=0.1)


def test_the_data_stages_draw_without_matplotlib():
    code = (
        "import sys\n"
        "from headwater.assets import plain_plots\n"
        "plain_plots.bar_table([('a', 1.0)], 'T'), plain_plots.s_curve([(0.0, 0.0), (1.0, 1.0)], 0.5, 's')\n"
        "import headwater.assets.curation.stage, headwater.assets.deduplication.stage\n"
        "print('matplotlib' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
