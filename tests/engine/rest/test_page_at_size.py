"""The page with all it has to bear: 200 vertices, a day of checkpoints. Its work is bounded; no time is measured."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from penstock.testing.browsers import looking_at
from penstock.testing.large_jobs import LargeJob, serving

pytestmark = pytest.mark.xdist_group("page")
TIMEOUT_MS = 30_000
VERTICES, CHECKPOINTS = 200, 86_400
NODES_MAX = 6_000
ROWS_MAX = 80


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The page, with all checkpoints read."""
    job = LargeJob(vertices=VERTICES, checkpoints=CHECKPOINTS, now_ms=int(time.time() * 1000))
    with serving(job) as address, looking_at(browser) as looking:
        looking.page.goto(f"{address}/")
        expect(looking.page.locator("#vitals")).to_contain_text(str(CHECKPOINTS), timeout=TIMEOUT_MS)
        yield looking.page
        assert looking.complaints == []


def count(page: Page, expression: str) -> int:
    return int(page.evaluate(expression))


def nodes(page: Page) -> int:
    return count(page, "document.querySelectorAll('*').length")


def canvas_changes(page: Page, selector: str, act: Any) -> bool:
    """Whether what is drawn there differs after the act, some frames later."""
    look = "selector => document.querySelector(selector).toDataURL()"
    before = page.evaluate(look, selector)
    act()
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).toDataURL() !== before",
        arg=[selector, before],
        timeout=TIMEOUT_MS,
    )
    return True


def test_a_graph_of_many_vertices_is_shown_whole_with_few_elements(page: Page) -> None:
    expect(page.locator(".card")).to_have_count(VERTICES, timeout=TIMEOUT_MS)
    assert nodes(page) < NODES_MAX
    assert page.locator(".stage").get_attribute("data-detail") == "least"


def test_only_vertices_in_sight_are_there(page: Page) -> None:
    for _ in range(10):
        page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function("document.querySelectorAll('.card').length < 60", timeout=TIMEOUT_MS)
    page.locator(".card").first.focus()
    page.keyboard.press("End")
    last = page.locator(".card:focus")
    expect(last).to_be_in_viewport(timeout=TIMEOUT_MS)
    page.keyboard.press("0")
    expect(page.locator(".card")).to_have_count(VERTICES, timeout=TIMEOUT_MS)


def test_no_two_vertices_overlap_and_edges_go_to_the_right(page: Page) -> None:
    found = page.evaluate(
        """async () => {
            const { layout } = await import("/page/layout.js");
            const ids = Array.from({ length: 300 }, (_, at) => String(at));
            const edges = ids.flatMap((id, at) => [1, 2, 7, 31].filter((step) => at % (step + 1) === 0 && at >= step)
                .map((step) => ({ source: ids[at - step], target: id })));
            const size = { width: 100, height: 50, gapX: 40, gapY: 10 };
            const { places, routes } = layout(ids, edges, size);
            const boxes = [...places.values()];
            let overlaps = 0;
            boxes.forEach((one, at) => boxes.slice(at + 1).forEach((other) => {
                if (one.x === other.x && Math.abs(one.y - other.y) < size.height) overlaps += 1;
            }));
            const leadsBack = ({ points }) => points.some((point, at) => at && point.x < points[at - 1].x);
            const back = routes.filter(leadsBack).length;
            return { places: boxes.length, routes: routes.length, edges: edges.length, overlaps, back };
        }"""
    )
    assert found["places"] == 300
    assert found["routes"] == found["edges"]
    assert (found["overlaps"], found["back"]) == (0, 0)


def test_a_cycle_is_laid_out_too(page: Page) -> None:
    layers = page.evaluate(
        """async () => {
            const { layout } = await import("/page/layout.js");
            const edges = ["ab", "bc", "ca", "cc"].map(([source, target]) => ({ source, target }));
            const { places } = layout(["a", "b", "c"], edges, { width: 1, height: 1, gapX: 1, gapY: 1 });
            return ["a", "b", "c"].map((id) => places.get(id).layer);
        }"""
    )
    assert layers == [0, 1, 2]


def test_a_day_of_checkpoints_is_a_column_for_each_pixel_and_a_screen_of_rows(page: Page) -> None:
    page.get_by_role("link", name="Checkpoints").click()
    expect(page.locator(".rows .row").first).to_contain_text(str(CHECKPOINTS), timeout=TIMEOUT_MS)
    timeline = page.locator("canvas.timeline")
    drawn = int(str(timeline.get_attribute("data-drawn")))
    assert 500 < drawn <= timeline.evaluate("canvas => canvas.clientWidth")
    assert page.locator(".rows .row").count() < ROWS_MAX
    grid = page.get_by_role("grid", name="Checkpoints")
    assert grid.get_attribute("aria-rowcount") == str(CHECKPOINTS + 1)
    grid.focus()
    page.keyboard.press("End")
    expect(page.locator(".rows .row.chosen")).to_contain_text("checkpoint", timeout=TIMEOUT_MS)
    assert str(page.locator(".rows .row.chosen").locator("span").first.text_content()) == "1"
    assert page.locator(".rows .row").count() < ROWS_MAX


def test_the_time_line_is_gone_through_by_keyboard(page: Page) -> None:
    page.get_by_role("link", name="Checkpoints").click()
    timeline = page.get_by_role("slider")
    timeline.focus()
    page.keyboard.press("Home")
    expect(timeline).to_have_attribute("aria-valuenow", "1", timeout=TIMEOUT_MS)
    page.keyboard.press("ArrowRight")
    expect(timeline).to_have_attribute("aria-valuenow", "2", timeout=TIMEOUT_MS)
    assert canvas_changes(page, "canvas.timeline", lambda: page.keyboard.press("+"))
    page.keyboard.press("End")
    expect(timeline).to_have_attribute("aria-valuenow", str(CHECKPOINTS), timeout=TIMEOUT_MS)
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Checkpoint")
    expect(panel).to_contain_text(f"Savepoint {CHECKPOINTS}", timeout=TIMEOUT_MS)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_what_the_page_remembers_is_bounded_and_in_order(page: Page) -> None:
    found = page.evaluate(
        """async () => {
            const { History, COLUMNS } = await import("/page/history.js");
            const history = new History();
            const columns = (ids) => Object.fromEntries(COLUMNS.map((name) => [name, Float64Array.from(ids)]));
            for (let from = 0; from < 120000; from += 1000) {
                history.apply({ columns: columns(Array.from({ length: 1000 }, (_, at) => from + at)) });
            }
            history.apply({ columns: columns([119999, 120500]), withdrawn: [119998] });
            history.apply({ columns: columns([120100]) });
            const tail = [...history.id.slice(history.length - 3, history.length)];
            const found = history.id[history.find(119999)];
            return { length: history.length, tail, gone: history.find(119998), found };
        }"""
    )
    assert found["length"] <= 100_000
    assert found["tail"] == [119_999, 120_100, 120_500]
    assert (found["gone"], found["found"]) == (-1, 119_999)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("rate(1234.5)", "1.23\u202fk/s"),
        ("rate(0)", "0/s"),
        ("rate(NaN)", "–"),
        ("bytes(1536)", "1.50\u202fKiB"),
        ("bytes(999.6)", "1000\u202fB"),
        ("duration(59_990)", "1\u202fmin"),
        ("duration(125_000)", "2\u202fmin 5\u202fs"),
        ("duration(-1)", "–"),
        ("percent(0.987)", "99\u202f%"),
        ("watermark(-9223372036854775808)", "none yet"),
        ("watermark(9223372036854775807)", "end of data"),
        ("watermark(41)", "41"),
        ("watermark(41, 1700000000000)", "41"),
        ("watermark(Date.now() - 3000, Date.now()).split('·')[1]", " 3\u202fs behind"),
        ("ago(400)", "just now"),
        ("ago(61_000)", "1\u202fmin 1\u202fs ago"),
    ],
)
def test_figures_are_written_short_and_alike(page: Page, call: str, text: str) -> None:
    assert page.evaluate(f"async () => (await import('/page/format.js')).{call}") == text
