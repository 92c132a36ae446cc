"""A person with a browser: open → upload a sweep → see the plan → submit it to Ray → watch it finish → compare → open a cell → copy the load command."""

import ast
import json
from importlib import resources

import pytest

from tests.e2e.conftest import SWEEP

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SIZES = {"laptop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
JOB_TIMEOUT_MS = 600_000


def test_from_upload_to_the_load_command(site, browser, artifacts, tmp_path):
    (tmp_path / "walk.toml").write_text(SWEEP)
    context = browser.new_context(viewport=SIZES["laptop"], permissions=["clipboard-read", "clipboard-write"])
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(site.url) else None)  # nothing from elsewhere

    page.goto(site.url)
    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("Sweep file").set_input_files(tmp_path / "walk.toml")
    page.wait_for_function("document.getElementById('toml').value.includes('walk')")
    page.get_by_role("button", name="Show the plan").click()
    assert page.get_by_role("region", name="Plan").get_by_role("row").count() == 3
    check_page(page, "plan", artifacts)

    page.get_by_role("button", name="Submit to the cluster").click()
    page.wait_for_load_state("load", timeout=120_000)
    assert "/jobs/walk-" in page.url, page.get_by_role("alert").inner_text()
    page.wait_for_selector(".badge.succeeded", timeout=JOB_TIMEOUT_MS)  # brought by the script, the page is not loaded again
    assert "[2/2]" in page.locator("#log").inner_text()
    check_page(page, "job", artifacts)

    page.get_by_role("link", name="walk", exact=True).click()
    page.wait_for_url("**/sweeps/walk")
    table = page.get_by_role("region", name="Comparison")
    assert table.get_by_role("row").count() == 3
    table.get_by_role("link", name="trainable parameters").click()
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("trainable")
    assert [row.split()[0] for row in table.locator("tbody tr").all_inner_texts()] == ["loretta_adp", "lora"]
    for picture in page.locator("figure img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle(), timeout=60_000)
    check_page(page, "sweep", artifacts)

    table.locator("tbody a").first.click()
    page.wait_for_url("**/cells/*")
    page.get_by_role("button", name="Copy Python that loads the weights").click()
    page.get_by_text("Copied").wait_for()
    code = page.evaluate("navigator.clipboard.readText()")
    ast.parse(code)
    assert "PeftModel.from_pretrained" in code
    assert str(site.out) in code
    check_page(page, "cell", artifacts)
    assert complaints == []


def check_page(page, name, artifacts):
    """Take screenshots in both sizes; check that nothing is wider than the window and that axe finds no serious violation."""
    for device, size in SIZES.items():
        page.set_viewport_size(size)
        page.screenshot(path=artifacts / f"{name}-{device}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{name} is wider than a {device}"
    page.set_viewport_size(SIZES["laptop"])
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    serious = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)
