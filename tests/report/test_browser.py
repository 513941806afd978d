"""The page in a real browser, headless, without a network: what a reader sees and does."""

import json
import re
import shutil
import threading

import pytest

from qad.report import live, write_report

sync = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra 'test'")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")
WAIT = 60_000  # ms


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """The page of the toy study with a detector that is told labels and one that did not converge."""
    root = tmp_path_factory.mktemp("browser") / "runs"
    shutil.copytree(finished, root)
    for path in root.glob("*/*/*/*/run.json"):
        record = json.loads(path.read_text())
        if record["detector"]["name"] == "mass-high":
            record["detector"]["kind"] = "supervised"
        if record["detector"]["name"] == "dense-autoencoder":
            record["diagnostics"]["converged"] = record["seed"] == 0
        path.write_text(json.dumps(record))
    return write_report(root)[0]


@pytest.fixture(scope="module")
def chromium():
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a page and sees to it that nothing is asked of a network and nothing is complained of."""
    contexts, said, asked = [], [], []

    def open_(url, width=1280, height=800, **more):
        context = chromium.new_context(viewport={"width": width, "height": height}, offline=url.startswith("file"), **more)
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(url)
        page.wait_for_selector(".panel.active" if url.startswith("file") else "body")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert [u for u in asked if not u.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))] == []


def names(page, only="tr:not([hidden]):visible"):
    return page.eval_on_selector_all(f".panel.active table.detectors tbody {only.split(':visible')[0]}",
                                     "rows => rows.map(r => r.dataset.name)")


def column(page, head):
    """Texts of a column of the table that is shown, by its heading."""
    return page.evaluate("""head => {
        const table = document.querySelector('.panel.active table.detectors');
        const i = [...table.tHead.rows[0].cells].findIndex(h => h.textContent.trim() === head);
        return [...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[i].textContent.trim());
    }""", head)


def head(page, text):
    return page.locator(".panel.active table.detectors thead th button", has_text=re.compile(f"^{re.escape(text)}$"))


def tab(page, text):
    page.locator(".tabs a", has_text=text).click()
    page.wait_for_function("t => document.querySelector('.tabs a[aria-selected=true]').textContent === t", arg=text)


def curves(page):
    """Names of the curves that are drawn in each of the two pictures of curves."""
    return page.evaluate("""() => [...document.querySelectorAll('.panel.active .plot[data-role=curves]')].map(
        d => d.data.filter(t => t.name && t.visible !== false).map(t => t.name).sort())""")


def test_opens_from_disk_with_the_verdict_first(report, visit):
    page = visit(report.as_uri(), 390, 844)
    headline = page.locator(".verdict > strong")
    assert headline.inner_text().startswith("None of the detectors beats every control")
    assert page.locator("h1").inner_text() == "Toy jets"
    for first in (headline, page.locator(".panel.active table").first):  # on the first screen of a phone
        assert first.bounding_box()["y"] < 844
    assert page.locator(".plot .main-svg").count() > 0
    page = visit(report.as_uri())
    assert page.locator(".panel.active table tbody tr").first.bounding_box()["y"] < 600
    told = page.locator(".panel.active tr", has_text="mass-high").locator(".mark")
    assert told.inner_text() == "told labels"
    assert "mass-high" in page.locator(".panel.active .small").inner_text()
    assert "not converged: 1 of 2 seeds" in page.locator(".panel.active tr", has_text="dense-autoencoder").inner_text()


def test_sorting_takes_numbers_as_numbers_and_what_is_unknown_last(report, visit):
    page = visit(f"{report.as_uri()}#qcd-to-top")
    page.locator("[data-toggle=every]").click()
    head(page, "parameters").click()
    known = [float(x.replace(",", "")) for x in column(page, "parameters") if x != "–"]
    assert known == sorted(known, reverse=True) and column(page, "parameters")[-1] == "–"
    assert [str(k) for k in known] != sorted(map(str, known), reverse=True)  # words would be in another order
    head(page, "parameters").click()
    assert [float(x.replace(",", "")) for x in column(page, "parameters") if x != "–"] == known[::-1]
    assert column(page, "parameters")[-1] == "–"
    page.evaluate("""() => { const cell = document.querySelector('.panel.active tbody tr:nth-child(2)').cells[3];
                             delete cell.dataset.v; cell.textContent = 'too few events'; }""")
    for _ in range(2):
        head(page, "AUC").click()
        assert column(page, "AUC")[-1] == "too few events"
    head(page, "detector").click()
    assert names(page) == sorted(names(page))
    assert head(page, "TPR(10⁻⁵)").is_hidden()
    page.locator("[data-toggle=columns]").click()
    assert head(page, "TPR(10⁻⁵)").is_visible() and set(column(page, "TPR(10⁻⁵)")) == {"too few events"}


def test_the_choice_of_detectors_is_that_of_table_curves_and_points(report, visit):
    page = visit(f"{report.as_uri()}#qcd-to-top")
    before = names(page)
    assert any("control" in c for c in page.eval_on_selector_all(".panel.active tbody tr", "r => r.map(x => x.className)"))
    drawn = curves(page)
    assert drawn[0] == drawn[1] == sorted(before)
    page.locator("[data-toggle=kind][value=control]").click()
    kept = names(page)
    assert 0 < len(kept) < len(before) and not any("mahalanobis" in n for n in kept)
    assert curves(page)[0] == sorted(kept)
    points = page.evaluate("""() => document.querySelector('.panel.active .plot[data-role=points]').data
                              .filter(t => t.name === 'control').flatMap(t => t.x)""")
    assert points == []
    page.locator("[data-toggle=kind][value=control]").click()
    page.locator(".choose input").fill("quantum constituents")
    assert names(page) and all("quantum" in n and "constituents" in n for n in names(page))
    assert curves(page)[0] == sorted(set(names(page)) & set(before))
    assert page.locator(".count").inner_text() == f"{len(names(page))} of 7 detectors"
    tab(page, "top → qcd")  # the choice goes along
    assert all("quantum" in n for n in names(page))


def test_the_legend_shows_and_hides_one_and_shows_it_alone(report, visit):
    page = visit(f"{report.as_uri()}#qcd-to-top")
    before = curves(page)[0]
    chip = page.locator(".panel.active .legend .chip[data-name='mahalanobis (substructure)']")
    chip.click()
    assert curves(page) == [[n for n in before if n != "mahalanobis (substructure)"]] * 2
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    chip.dblclick()
    assert curves(page) == [["mahalanobis (substructure)"]] * 2
    chip.dblclick()
    assert curves(page) == [before] * 2


def test_tabs_and_provenance_one_click_away(report, visit):
    page = visit(report.as_uri())
    labels = page.locator(".tabs a").all_inner_texts()
    assert labels == ["All directions", "qcd → top", "top → qcd", "Provenance"]
    for label in labels:
        tab(page, label)
        assert page.locator(".panel:visible").count() == 1
    assert page.locator(".panel:visible .hash").first.inner_text()
    assert page.url.endswith("#provenance") and page.locator(".choose").is_hidden()
    page.go_back()
    page.wait_for_selector("#top-to-qcd:visible")
    shown = page.locator("#top-to-qcd .display svg")
    assert shown.count() == 2 * 8 + 8 and page.locator("#top-to-qcd .display p").first.inner_text().startswith("top, 1. score")


@pytest.mark.parametrize("hash_", ["#100%", "#nothing"])
def test_a_mistyped_address_is_the_first_tab(report, visit, hash_):
    page = visit(f"{report.as_uri()}{hash_}")
    assert page.locator(".panel:visible").get_attribute("id") == "all"
    assert page.locator(".panel.active .main-svg").count() > 0


def test_light_and_dark(report, visit):
    def colours(page):
        return page.evaluate("""() => [getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.panel.active .xtick text')).fill]""")

    page = visit(report.as_uri(), color_scheme="light")
    light = colours(page)
    page.locator(".theme button", has_text="dark").click()
    dark = colours(page)
    assert light[0] == "rgb(255, 255, 255)" and all(a != b for a, b in zip(light, dark, strict=True))
    page.reload()
    page.wait_for_selector(".xtick text")
    assert colours(page) == dark  # remembered
    tab(page, "qcd → top")
    assert colours(page) == dark
    assert colours(visit(report.as_uri(), color_scheme="dark")) == dark  # the system's choice
    page.locator(".theme button", has_text="auto").click()
    assert colours(page) == light


@pytest.mark.parametrize("width", [360, 768])
def test_on_a_phone_only_tables_scroll(report, visit, width):
    page = visit(report.as_uri(), width, 740)
    for label in page.locator(".tabs a").all_inner_texts():
        tab(page, label)
        assert page.evaluate("document.documentElement.scrollWidth") == width, label
        for row in page.locator(".panel:visible .display").all()[:1]:
            assert row.bounding_box()["width"] > 60


def test_printed_whole_and_without_controls(report, visit):
    page = visit(report.as_uri(), color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".panel:visible").count() == page.locator(".panel").count() == 4
    for control in (".tabs", ".choose", ".theme", ".more-curves", "summary"):
        assert page.locator(control).locator("visible=true").count() == 0
    plots = page.locator(".plot")
    assert page.locator(".plot.js-plotly-plot").count() == plots.count() > 10
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth))") <= 700
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator(".panel:visible").count() == 1 and page.locator(".panel.active .main-svg").count() > 0
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_served_page_waits_refreshes_and_keeps_its_state(report, visit, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PAUSE", 0.1)
    root = tmp_path / "runs" / "toys"
    watch = live.Watch(root)
    with live.server(watch, 0) as http:
        watch.start()
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            page = visit(f"http://127.0.0.1:{http.server_address[1]}/")
            assert "holds no runs: expected study.json" in page.locator("body").inner_text()
            root.mkdir(parents=True)
            late = ("dense-autoencoder", "mahalanobis")
            shutil.copytree(report.parent, root, dirs_exist_ok=True, ignore=lambda folder, files: late)
            page.wait_for_selector(".panel.active table")
            assert not any("mahalanobis" in n for n in names(page))
            tab(page, "top → qcd")
            page.locator(".choose input").fill("substructure")
            page.locator("[data-toggle=kind][value=quantum]").click()
            head(page, "AUC").click()  # the smallest first
            page.locator(".verdict summary").click()
            page.wait_for_function("document.querySelector('.live span').textContent.includes('models to come')")
            shutil.copytree(report.parent, root, dirs_exist_ok=True)
            page.wait_for_function("document.body.innerText.includes('mahalanobis')")
            page.wait_for_function("document.querySelector('.live span').textContent.includes('complete')")
            assert page.locator(".tabs a[aria-selected=true]").inner_text() == "top → qcd"
            assert page.locator(".choose input").input_value() == "substructure"
            assert page.locator("[data-toggle=kind][value=quantum]").get_attribute("aria-pressed") == "false"
            aucs = [float(text.split()[0]) for text in column(page, "AUC")]
            assert len(aucs) > 1 and aucs == sorted(aucs)
            order = "document.querySelector('.panel.active th[aria-sort]').getAttribute('aria-sort')"
            assert page.evaluate(order) == "ascending"
            assert page.locator(".verdict details").get_attribute("open") is not None
            assert page.evaluate("Object.keys(sessionStorage)") == ["qad-page toys"]  # another study's page does not read it
            assert all("substructure" in n for n in names(page)) and not any("quantum" in n for n in names(page))
        finally:
            http.shutdown()
            watch.stop()
