from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.report import hand

from drawloom.report import write_page, write_report
from drawloom.report.figures import Figures, figures
from drawloom.report.floorplan import by_tile, floorplan
from drawloom.report.page import page
from drawloom.report.roofline import roofline, short
from drawloom.report.timeline import MAX_SPANS

VOID = {"meta", "link", "input", "br"}


class Balance(HTMLParser):
    """Checks that every element is closed in order; collects ids and what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href"):
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html() -> str:
    return page(figures(hand.trace()))


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_is_well_formed_and_fetches_nothing(html: str) -> None:
    checked = Balance()
    checked.feed(html)
    assert checked.open == []
    assert len(checked.ids) == len(set(checked.ids))
    assert set(checked.fetched) == {"data:,", "#layers"}
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", html)


def test_names_from_the_model_are_text_and_never_markup(html: str) -> None:
    assert "<h1>&lt;/script&gt; hand &amp; made</h1>" in html
    assert "/model/conv1/&lt;Conv&gt; &amp; co" in html
    assert "<Conv>" not in html
    assert html.count("</script>") == 2
    assert data_of(html)["layers"][1]["name"] == "/model/conv1/<Conv> & co"  # pyright: ignore[reportIndexIssue]


def test_every_id_that_the_script_looks_for_is_on_the_page(html: str) -> None:
    wanted = set(re.findall(r'\$\("(\w+)"\)', html))
    assert wanted == set(re.findall(r'id="(\w+)"', html)) & wanted
    assert {"lanes", "overview", "tip", "data", "find"} <= wanted


def test_the_page_says_precision_profile_and_how_sure_it_is(html: str) -> None:
    assert "<span>precision</span><b>fp16</b>" in html
    assert "<span>profile</span><b>lean</b>" in html
    assert "50 cycles a command (grade F)" in html
    assert "profiles.lean.issue" in html
    assert "The ends are those of the energies in the chip file" in html


def test_equal_traces_give_equal_pages(html: str) -> None:
    assert page(figures(hand.trace())) == html


def test_a_long_run_still_gives_a_small_page() -> None:
    trace = hand.trace(1000)
    assert len(trace) > MAX_SPANS
    html = page(figures(trace))
    assert len(html.encode()) < 1_500_000
    assert "too many commands to draw each" in html


@pytest.mark.parametrize("draw", [roofline, floorplan])
def test_pictures_are_xml_with_a_description(draw: Callable[[Figures], str]) -> None:
    root = ElementTree.fromstring(draw(figures(hand.trace())))
    assert root.tag == "svg"
    assert root.attrib["aria-label"]


def test_the_floorplan_shows_each_tile_with_its_share() -> None:
    shown = figures(hand.trace())
    shares = by_tile(shown)
    assert [len(shares), len(shares[0])] == [16, 7]
    root = ElementTree.fromstring(floorplan(shown))
    titles = [e.text or "" for e in root.iter("title")]
    assert sum(title.startswith("tile ") for title in titles) == 16
    assert sum(title.startswith("link ") for title in titles) == 2 * 2 * 4 * 3
    assert "link 0 → 4: 4.00 KiB" in titles


def test_long_names_lose_their_middle() -> None:
    assert short("a" * 20 + "b" * 30, 10) == "aaaa…bbbb"
    assert short("short") == "short"


def test_a_report_is_a_page_a_trace_and_the_figures(tmp_path: Path) -> None:
    paths = write_report(figures(hand.trace()), tmp_path / "new" / "report")
    assert [path.name for path in paths] == ["page.html", "trace.json.gz", "figures.json"]
    assert json.loads(paths[2].read_text())["latency_ps"] == hand.trace().latency_ps
    write_page(figures(hand.trace()), tmp_path / "one.html")
    assert (tmp_path / "one.html").read_bytes() == paths[0].read_bytes()
