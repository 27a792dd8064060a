"""The report in a browser: from a file, without network, by keyboard, on a phone, printed."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from lab import RunStore
from lab.report import write_report

pytestmark = pytest.mark.browser
RUNS = RunStore(Path(__file__).parent.parent.parent / "notebooks" / "recorded").runs
SIZES = {"phone": (390, 844), "laptop": (1280, 800)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(RUNS, path, refused={"relu-seed0-00000000": "<b>broken</b>"})
    return path


@pytest.fixture(params=SIZES)
def opened(request, context, file):
    """Opens the report offline; at the end it has asked for nothing and complained of nothing."""
    context.set_offline(True)
    page = context.new_page()
    width, height = SIZES[request.param]
    page.set_viewport_size({"width": width, "height": height})
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto(file.as_uri())
    yield page
    assert complaints == []
    assert requests == [file.as_uri()]


def rows(page):
    return page.locator("#table tbody tr")


def test_the_scrubber_shows_the_recorded_numbers_of_each_epoch_by_keyboard(opened):
    run = RUNS.where(activation="relu", learning_rate=0.005)[0]
    row = rows(opened).filter(has_text=run.run_id)
    slider = opened.get_by_label("Epoch", exact=True)
    slider.focus()
    dead = [run.lives(layer).dead.mean(axis=1) for layer in run.layers]
    for epoch in (10, 9, 8):
        numbers = run.record.epochs[epoch]
        cells = [
            str(epoch),
            f"{numbers.train_loss:.4f}",
            f"{100 * numbers.validation_accuracy:.2f}",
            f"{100 * dead[0][epoch]:.1f} / {100 * dead[1][epoch]:.1f}",
        ]
        expect(row.locator("td").nth(2)).to_have_text(cells[0])
        assert row.locator("td").all_text_contents()[2:6] == cells
        expect(opened.locator("#at")).to_have_text(str(epoch))
        words = opened.get_by_role(
            "img", name=re.compile(f"^Curves of training loss. At epoch {epoch}:")
        )
        assert f"{run.run_id} {cells[1]}" in words.get_attribute("aria-label")
        opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("Home")
    assert "0.0 / 0." in row.locator("td").nth(5).text_content()


def test_runs_are_picked_by_function_rate_and_words(opened):
    count = opened.locator("#count")
    expect(count).to_have_text("25 of 25 runs shown.")
    opened.get_by_label("Activation", exact=True).select_option("ReLU")
    expect(count).to_have_text("10 of 25 runs shown.")
    opened.get_by_label("Learning rate", exact=True).select_option("0.005")
    expect(count).to_have_text("3 of 25 runs shown.")
    expect(rows(opened)).to_have_count(3)
    expect(opened.locator("#chart polyline")).to_have_count(3)
    opened.get_by_label("Activation", exact=True).select_option("all")
    opened.get_by_label("Learning rate", exact=True).select_option("all")
    opened.get_by_label("Words", exact=True).fill("SIX layers sigmoid")
    expect(count).to_have_text("3 of 25 runs shown.")
    opened.keyboard.press("Enter")  # Sends no form.
    opened.get_by_label("Words", exact=True).fill("nothing of this kind")
    expect(count).to_have_text("0 of 25 runs shown.")
    expect(rows(opened)).to_have_count(0)
    opened.get_by_label("Curves of", exact=True).select_option("dead, % of the last hidden layer")
    opened.get_by_label("Words", exact=True).fill("")
    expect(opened.locator("#chart polyline")).to_have_count(25)


def test_everything_is_reached_by_tab_and_nothing_hinders(opened):
    assert Axe().run(opened).response["violations"] == []
    assert opened.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    reached = set()
    for _ in range(60):
        opened.keyboard.press("Tab")
        reached.add(opened.evaluate("document.activeElement.id"))
    assert {"epoch", "activation", "rate", "words", "measure"} <= reached
    expect(opened.get_by_text("<b>broken</b>")).to_be_visible()


def test_without_javascript_the_last_epoch_stands_there(browser, file):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    expect(rows(page)).to_have_count(25)
    expect(page.locator("#controls")).to_be_hidden()
    expect(page.get_by_text("Each run at epoch 10")).to_be_visible()
    context.close()


def test_it_prints_without_its_controls(opened, tmp_path):
    opened.emulate_media(media="print")
    expect(opened.locator("#controls")).to_be_hidden()
    expect(opened.locator("#table")).to_be_visible()
    printed = opened.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3
