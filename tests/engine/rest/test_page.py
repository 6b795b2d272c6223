"""The page, in a browser, beside a running job: what is shown, how it is reached, and that nothing else is let in."""

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from penstock.common import Configuration, Types, WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.page_files import page_files
from penstock.testing.browsers import Looking, looking_at
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.steps import wait_until

pytestmark = pytest.mark.xdist_group("page")
TIMEOUT_MS = 20_000
READABLE = 4.5
SEVERAL = re.compile(r"[2-9]|\d{2,}")
MARKUP = "Third <script>document.title='taken'</script><b>bold</b>"


def crawl(number: int, folder: Path) -> tuple[int, int]:
    """Slow, and fails once: when a checkpoint is certain to be complete."""
    failed = folder / "failed"
    if not failed.exists() and any(folder.glob("*/chk-[2-9]/_metadata")):
        failed.touch()
        raise ValueError("a record that <b>nobody</b> can work on")
    time.sleep(0.001)
    return number % 5, 1


def program(folder: Path) -> StreamExecutionEnvironment:
    configuration = Configuration.from_dict(
        {
            "execution.checkpointing.interval": "300 ms",
            "execution.checkpointing.dir": str(folder),
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "50 ms",
            "rest.flamegraph.num-samples": "20",
            "rest.flamegraph.delay-between-samples": "10 ms",
            "web.refresh-interval": "250 ms",
            "web.checkpoints.history": "1000",
        }
    )
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(2)
    numbers = env.from_sequence(0, 1 << 40).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
            lambda number, _: 1_700_000_000_000 + number
        )
    )
    pairs = numbers.map(lambda n: crawl(n, folder), Types.TUPLE([Types.LONG(), Types.LONG()])).name("Crawl pages")
    counted = pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(lambda one, other: (one[0], one[1] + other[1]))
    counted.name("Count visits").rebalance().filter(lambda pair: False).name(MARKUP).print()
    return env


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeenJob]:
    """A job that counts, takes checkpoints, and has failed and been restored."""
    with running_with_rest(program(tmp_path_factory.mktemp("checkpoints"))) as seen:
        wait_until(lambda: bool(seen.rest.exceptions(seen.job.job_id)), 40, lambda: "the job has not failed yet")
        yield seen


@pytest.fixture(scope="module")
def looking(browser: Browser, seen: SeenJob) -> Iterator[Looking]:
    with looking_at(browser) as looking:
        looking.page.goto(f"http://{seen.rest.address}/")
        yield looking


@pytest.fixture
def page(looking: Looking) -> Iterator[Page]:
    """The page at its beginning, though not loaded anew; in the end it has complained about nothing."""
    looking.page.evaluate("location.hash = 'graph'; document.activeElement.blur()")
    expect(looking.page.locator(".card")).to_have_count(3, timeout=TIMEOUT_MS)
    yield looking.page
    assert looking.complaints == []


def test_the_graph_has_every_vertex_with_its_name_and_parallelism(page: Page, seen: SeenJob) -> None:
    vertices = seen.rest.job(seen.job.job_id)["vertices"]
    shown = page.locator(".card-name").all_text_contents()
    assert shown == [vertex["name"].replace(" -> ", " → ") for vertex in vertices]
    assert page.locator(".card-parallelism").all_text_contents() == ["×2"] * 3
    expect(page.locator("#job-state")).to_have_text("running", timeout=TIMEOUT_MS)


def test_rates_loads_and_watermarks_come_and_move(page: Page) -> None:
    card = page.locator(".card", has_text="Crawl pages")
    expect(card.locator(".card-rates")).to_contain_text(re.compile(r"out\s*\d.*/s"), timeout=TIMEOUT_MS)
    expect(card.locator(".card-loads")).to_contain_text(re.compile(r"busy\s*\d+\s%"), timeout=TIMEOUT_MS)
    expect(card.locator(".card-foot")).to_contain_text(re.compile(r"watermark.*2023"), timeout=TIMEOUT_MS)
    card.click()
    facts = page.locator(".panel .facts div", has_text="records out").locator("dd")
    before = facts.text_content()
    expect(facts).not_to_have_text(str(before), timeout=TIMEOUT_MS)
    expect(page.get_by_role("grid", name="Subtasks").get_by_role("row")).to_have_count(3, timeout=TIMEOUT_MS)


def test_markup_in_names_and_messages_is_text(page: Page) -> None:
    name = page.locator(".card-name", has_text="<script>")
    assert MARKUP in str(name.text_content())
    assert page.locator(".card script, .card-name b").count() == 0
    page.get_by_role("link", name="Exceptions").click()
    expect(page.locator(".trace").first).to_contain_text("<b>nobody</b>", timeout=TIMEOUT_MS)
    assert page.title() != "taken"


def test_an_exception_shows_the_users_own_lines(page: Page) -> None:
    page.get_by_role("link", name="Exceptions").click()
    mine = page.locator(".trace").first.locator(".mine")
    expect(mine.first).to_contain_text("test_page.py", timeout=TIMEOUT_MS)
    expect(mine.last).to_contain_text('raise ValueError("a record that')
    expect(page.locator(".exceptions summary").first).to_contain_text("ValueError")


def test_checkpoints_come_with_what_they_took_and_what_was_restored(page: Page) -> None:
    page.get_by_role("link", name="Checkpoints").click()
    expect(page.locator(".facts").first).to_contain_text(re.compile(r"restored fromcheckpoint \d+"), timeout=TIMEOUT_MS)
    expect(page.locator("canvas.timeline")).to_have_attribute("data-drawn", SEVERAL, timeout=TIMEOUT_MS)
    completed = page.locator(".rows [data-state=COMPLETED]").first
    expect(completed).to_be_visible(timeout=TIMEOUT_MS)
    completed.click()
    panel = page.get_by_role("complementary", name="Checkpoint")
    expect(panel.locator(".facts")).to_contain_text("completed", timeout=TIMEOUT_MS)
    vertices = panel.get_by_role("grid", name="Vertices")
    expect(vertices.locator("[aria-label^='start delay']").first).to_be_visible(timeout=TIMEOUT_MS)
    vertices.locator(".rows .row").first.click()
    subtasks = panel.get_by_role("grid", name="Subtasks")
    expect(subtasks.locator(".rows .row:visible")).to_have_count(2, timeout=TIMEOUT_MS)
    expect(subtasks).to_contain_text("ms")


def test_failures_and_rescales_are_told_along_time(page: Page, seen: SeenJob) -> None:
    for parallelism in (1, 2):
        rescale(seen, parallelism)
    page.get_by_role("link", name="Restarts").click()
    rows = page.get_by_role("grid", name="Restarts and rescales").locator(".rows .row:visible")
    expect(rows).to_have_count(3, timeout=TIMEOUT_MS)
    expect(rows.nth(0)).to_contain_text(re.compile(r"rescale.*completed.*1 → 2.*asked for"))
    expect(rows.nth(1)).to_contain_text("2 → 1")
    expect(rows.nth(2)).to_contain_text(re.compile(r"failure.*Crawl pages.*ValueError"))
    strip = page.get_by_role("img", name="1 failures, 2 rescales")
    expect(strip).to_have_attribute("data-drawn", "3", timeout=TIMEOUT_MS)
    page.get_by_role("link", name="Checkpoints").click()
    expect(page.locator("canvas.timeline")).to_have_attribute("data-rescales", "2", timeout=TIMEOUT_MS)


def rescale(seen: SeenJob, parallelism: int) -> None:
    trigger = seen.rest.rescale(seen.job.job_id, parallelism)

    def is_done() -> bool:
        answer = seen.rest.rescale_status(seen.job.job_id, trigger)
        assert answer["operation"] in (None, {}), answer
        return bool(answer["status"]["id"] == "COMPLETED")

    wait_until(is_done, 30, lambda: str(seen.rest.rescales(seen.job.job_id)))


def test_the_flame_graph_of_a_vertex_shows_the_users_function(page: Page) -> None:
    page.locator(".card", has_text="Crawl pages").click()
    page.get_by_role("button", name="Flame graph").click()
    canvas = page.locator("canvas.flames")
    expect(canvas).to_be_visible(timeout=TIMEOUT_MS)
    expect(canvas).to_have_attribute("data-drawn", SEVERAL, timeout=TIMEOUT_MS)
    canvas.focus()
    about = page.locator(".flame-about")
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    expect(about).to_contain_text(re.compile(r"(crawl|waits).*of all"))


def test_task_managers_and_settings_are_shown(page: Page) -> None:
    page.get_by_role("link", name="Task managers").click()
    page.locator(".rows .row", has_text="local-0").click()
    expect(page.get_by_role("complementary", name="Task manager")).to_contain_text(
        "resident memory", timeout=TIMEOUT_MS
    )
    page.get_by_role("link", name="Configuration").click()
    page.get_by_role("searchbox").fill("web.refresh")
    expect(page.locator(".rows .row:visible")).to_have_count(1, timeout=TIMEOUT_MS)
    expect(page.locator(".rows .row:visible")).to_contain_text("250 ms")


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    first, second = page.locator(".card").nth(0), page.locator(".card").nth(1)
    page.locator(".skip").focus()  # Where Tab comes to first.
    for _ in range(20):
        if first.evaluate("card => card === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(second).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Vertex")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(first).to_be_focused()
    assert first.evaluate("card => getComputedStyle(card).outlineStyle") == "solid"


def test_every_control_has_a_name(page: Page) -> None:
    for view in ("Checkpoints", "Restarts", "Exceptions", "Task managers", "Configuration", "Graph"):
        page.get_by_role("link", name=view).click()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, canvas[tabindex], [role=grid]")]
                .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()))
                .map((each) => each.outerHTML)"""
        )
        assert nameless == []


def test_colours_follow_the_system_until_others_are_chosen(page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    button = page.get_by_role("button", name="Colours")
    button.click()  # Light, whatever the system has.
    assert background() == light
    button.click()
    page.emulate_media(color_scheme="light")
    assert background() == dark
    page.reload()
    assert background() == dark, "the choice is kept"
    button.click()
    assert background() == light, "it follows the system again"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_it_is_on(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    on = dict.fromkeys(("surface", "sunken", "raised"), ("text", "muted", "accent", "ok-text", "bad-text"))
    on |= {"busy": ("on-busy",), "bad-soft": ("bad-text",), "selected": ("text",), "busy-soft": ("text",)}
    for ground, texts in on.items():
        for text in texts:
            assert contrast(page, text, ground) >= READABLE, f"{text} on {ground}"


def test_only_scripts_of_the_page_itself_run(browser: Browser, seen: SeenJob) -> None:
    with looking_at(browser) as looking:
        looking.page.goto(f"http://{seen.rest.address}/")
        looking.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.taken = true";
                document.body.append(script);
            }"""
        )
        assert looking.page.evaluate("window.taken") is None
        assert any("Content Security Policy" in complaint for complaint in looking.complaints)


def test_it_says_when_the_jobmanager_is_gone_and_comes_back_by_itself(browser: Browser, seen: SeenJob) -> None:
    with looking_at(browser) as looking:
        page = looking.page
        page.goto(f"http://{seen.rest.address}/")
        expect(page.locator(".card")).to_have_count(3, timeout=TIMEOUT_MS)
        page.route("**/v1/**", lambda route: route.abort())
        expect(page.get_by_role("status")).to_contain_text("The JobManager has not answered since", timeout=TIMEOUT_MS)
        expect(page.locator(".card")).to_have_count(3)
        page.unroute("**/v1/**")
        expect(page.locator("#connection")).to_be_hidden(timeout=TIMEOUT_MS)


def test_nothing_is_asked_while_nobody_looks(browser: Browser, seen: SeenJob) -> None:
    with looking_at(browser) as looking:
        page = looking.page
        page.clock.install()
        page.goto(f"http://{seen.rest.address}/")
        with page.expect_request_finished(lambda request: "/metrics" in request.url):
            pass
        page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.hides })")
        page.evaluate("window.hides = true; document.dispatchEvent(new Event('visibilitychange'))")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.run_for(60_000)
        assert asked == []
        with page.expect_request("**/jobs/overview"):
            page.evaluate("window.hides = false; document.dispatchEvent(new Event('visibilitychange'))")


def contrast(page: Page, one: str, other: str) -> float:
    """Of two colours of the style sheet, as WCAG 2 counts it."""
    first, second = sorted((luminance(page, one), luminance(page, other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def luminance(page: Page, colour: str) -> float:
    written = page.evaluate(
        """(name) => {
            const probe = document.createElement("span");
            document.body.append(probe);
            probe.style.color = `var(--${name})`;
            const found = getComputedStyle(probe).color;
            probe.remove();
            return found;
        }""",
        colour,
    )
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", written)[:3])
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def answered(seen: SeenJob, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    host, _, port = seen.rest.address.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.mark.parametrize("path", ["/", "/page/style.css", "/page/main.js", "/page/icon.svg"])
def test_files_are_kept_by_browsers_but_asked_about(seen: SeenJob, path: str) -> None:
    status, headers, body = answered(seen, "GET", path)
    assert (status, headers["Cache-Control"]) == (200, "no-cache")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert answered(seen, "GET", path, If_None_Match=headers["ETag"])[::2] == (304, b"")
    assert answered(seen, "GET", path, If_None_Match='"another"')[::2] == (200, body)
    assert answered(seen, "HEAD", path)[::2] == (200, b"")


@pytest.mark.parametrize(
    "path", ["/page/", "/page/index.html", "/page/../server.py", "/page/%2e%2e/server.py", "/page"]
)
def test_nothing_but_files_of_the_page_is_served(seen: SeenJob, path: str) -> None:
    assert answered(seen, "GET", path)[0] == 404


def test_no_file_makes_markup_of_text_or_needs_anything_from_elsewhere() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|<style|\sstyle=|\son\w+=|https?://"
    )
    found = {
        path: forbidden.findall(file.body.decode()) for path, file in page_files().items() if path != "/page/icon.svg"
    }
    assert {path: words for path, words in found.items() if words} == {}
