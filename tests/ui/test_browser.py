"""The pages in a real browser: wide and narrow, light and dark, by keyboard, and while something happens."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.seeded import ANN, Seeded
from tests.ui.test_pages import LOOP_PAGES, PAGES
from tests.waiting import PATIENCE_S

from trimtab.server import issue_token
from trimtab.store import Store

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
OVERFLOWING = """
const wide = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= wide) return [];
return [...document.querySelectorAll("body *")]
  .filter((e) => !e.parentElement.closest(".scroll, .graph, code, pre"))
  .filter((e) => e.getBoundingClientRect().left + Math.max(e.offsetWidth || 0, e.scrollWidth) > wide + 1)
  .map((e) => `${e.tagName}.${e.getAttribute("class")} to ${e.getBoundingClientRect().right}`)
  .slice(0, 5).concat([`document ${document.documentElement.scrollWidth} of ${wide}`]);
"""
Open = Callable[..., webdriver.Chrome]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        message = "no chromium or chromedriver; on Debian: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    options = Options()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(PATIENCE_S)
    yield opened
    opened.quit()


@pytest.fixture
def opened(chromium: webdriver.Chrome, request: pytest.FixtureRequest) -> Open:
    """Open a path of the seeded home, or of the one where the loop turned, at a width, in light or dark."""

    def show(path: str, *, home: str = "served", width: int = 1280, dark: bool = False) -> webdriver.Chrome:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        chromium.get(request.getfixturevalue(home) + path)
        return chromium

    return show


def _path(seeded: Seeded, name: str) -> str:
    return PAGES[name](seeded) if name in PAGES else LOOP_PAGES[name]


def _home(name: str) -> str:
    return "served" if name in PAGES else "looped_served"


def _wait(browser: webdriver.Chrome, until: Callable[[webdriver.Chrome], Any]) -> Any:
    return WebDriverWait(browser, PATIENCE_S).until(until)


def _type(browser: webdriver.Chrome, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


@pytest.mark.parametrize("name", [*PAGES, *LOOP_PAGES])
def test_a_page_fits_and_stays_quiet(opened: Open, seeded: Seeded, name: str) -> None:
    for width in (1280, 390):
        for dark in (False, True):
            browser = opened(_path(seeded, name), home=_home(name), width=width, dark=dark)
            assert browser.execute_script(OVERFLOWING) == [], f"{width} px"
            ground = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
            assert ground == ("rgb(16, 17, 19)" if dark else "rgb(251, 251, 250)")
            told = [entry for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
            assert told == []


def test_the_menu_is_closed_on_a_narrow_screen_and_opens(opened: Open) -> None:
    browser = opened("/ui", width=390)
    link = browser.find_element(By.CSS_SELECTOR, ".nav a[href='/ui/audit']")
    assert not link.is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".menu > summary").click()
    link.click()
    _wait(browser, lambda b: b.current_url.endswith("/ui/audit"))


def test_everything_is_reached_by_keyboard(opened: Open, seeded: Seeded) -> None:
    browser = opened("/ui")
    _type(browser, "g", "r")
    _wait(browser, lambda b: b.current_url.endswith("/ui/runs"))
    _type(browser, "/")
    _wait(browser, lambda b: b.switch_to.active_element.get_attribute("name") == "filter")
    browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.execute_script("document.activeElement.blur()")
    for _ in range(2):
        _type(browser, "j", "x")
    _wait(browser, lambda b: len(b.find_elements(By.CSS_SELECTOR, "tr[aria-selected=true]")) == 2)
    _type(browser, "c")
    _wait(browser, lambda b: "/ui/compare?" in b.current_url)
    assert "Differences only" in browser.page_source


def test_the_palette_finds_a_page(opened: Open) -> None:
    browser = opened("/ui")
    webdriver.ActionChains(browser).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
    field = _wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, ".palette input"))
    field.send_keys("feat")
    field.send_keys(Keys.ENTER)
    _wait(browser, lambda b: b.current_url.endswith("/ui/features"))


def test_the_theme_is_kept(opened: Open) -> None:
    browser = opened("/ui")
    button = browser.find_element(By.CSS_SELECTOR, "[data-theme-button]")
    button.click()
    button.click()
    assert button.text == "Dark"
    browser = opened("/ui/data")
    ground = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(16, 17, 19)"
    browser.find_element(By.CSS_SELECTOR, "[data-theme-button]").click()
    assert browser.execute_script("return localStorage.getItem('theme')") is None


def test_a_decision_asks_for_a_reason(opened: Open) -> None:
    browser = opened("/ui/models/slow/3")
    browser.find_element(By.CSS_SELECTOR, "[data-dialog=reject]").click()
    dialog = _wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, "dialog[open]"))
    assert "registry.version-rejected" in dialog.text
    dialog.find_element(By.CSS_SELECTOR, "button.danger").click()
    reason = dialog.find_element(By.NAME, "because")
    assert browser.execute_script("return arguments[0].validity.valueMissing", reason)
    _type(browser, Keys.ESCAPE)
    _wait(browser, lambda b: not b.find_elements(By.CSS_SELECTOR, "dialog[open]"))


def test_a_page_shows_what_happens_without_being_loaded_again(opened: Open, seeded_store: Store) -> None:
    browser = opened("/ui/audit")
    browser.execute_script("window.stays = true")
    with seeded_store.change(ANN, "while somebody looks") as change:
        issue_token(change, "live", may=["read"])
    _wait(browser, lambda b: "while somebody looks" in b.find_element(By.ID, "events").text)
    assert browser.execute_script("return window.stays")


def test_a_copied_line_is_the_command(opened: Open) -> None:
    browser = opened("/ui/data")
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    browser.find_element(By.CSS_SELECTOR, "[data-copy]").click()
    _wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, "[data-copy]").text == "Copied")


def test_a_page_reads_without_scripts(opened: Open, chromium: webdriver.Chrome, seeded: Seeded) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser = opened(f"/ui/decisions/{seeded.decisions[0]}", width=390)
        assert "Why was this decided?" in browser.find_element(By.TAG_NAME, "h1").text
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_pictures_of_the_pages(opened: Open, seeded: Seeded, tmp_path: Path) -> None:
    """Where ``TRIMTAB_SCREENSHOTS`` names a folder, every page is kept there as a picture, to be looked at."""
    folder = os.environ.get("TRIMTAB_SCREENSHOTS")
    for name in [*PAGES, *LOOP_PAGES] if folder else ["home"]:
        for width in (1440, 390):
            browser = opened(_path(seeded, name), home=_home(name), width=width, dark=width == 390)
            height = min(browser.execute_script("return document.documentElement.scrollHeight"), 4000)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            target = Path(folder or tmp_path) / f"{name.replace(' ', '-')}-{width}.png"
            assert browser.save_screenshot(str(target))


def test_rolling_back_is_one_button_that_asks_and_names_what_it_writes(opened: Open) -> None:
    browser = opened("/ui/endpoints/slow", home="looped_served")
    (button,) = browser.find_elements(By.CSS_SELECTOR, "[data-dialog=roll-back]")
    assert button.text == "Roll back to slow@1"
    button.click()
    dialog = _wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, "dialog[open]"))
    assert "serving.routing-changed and loop.rolled-back" in dialog.text
    dialog.find_element(By.CSS_SELECTOR, "button.danger").click()
    reason = dialog.find_element(By.NAME, "because")
    assert browser.execute_script("return arguments[0].validity.valueMissing", reason)
    _type(browser, Keys.ESCAPE)
    _wait(browser, lambda b: not b.find_elements(By.CSS_SELECTOR, "dialog[open]"))


def test_what_is_left_of_a_stage_counts_down(opened: Open) -> None:
    browser = opened("/ui/endpoints/slow", home="looped_served")
    browser.execute_script("document.querySelector('[data-left]').dataset.left = '42'")
    left = _wait(browser, lambda b: re.fullmatch(r"(\d+) s", b.find_element(By.CSS_SELECTOR, "[data-left]").text))
    assert int(left[1]) <= 42
    _wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, "[data-left]").text not in {left[0], ""})


def test_the_chosen_turn_is_in_the_address(opened: Open) -> None:
    browser = opened("/ui/loop/slow", home="looped_served")
    browser.find_element(By.CSS_SELECTOR, "#turns tbody tr:last-child a").click()
    _wait(browser, lambda b: "?turn=" in b.current_url)
    assert "Turn of slow@1" in browser.find_element(By.ID, "turn").text


def test_forms_can_be_sent_without_scripts(opened: Open, chromium: webdriver.Chrome) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser = opened("/ui/loop/slow", home="looped_served")
        form = browser.find_element(By.CSS_SELECTOR, "#roll-back form")
        assert form.is_displayed()
        assert form.find_element(By.NAME, "because").is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
