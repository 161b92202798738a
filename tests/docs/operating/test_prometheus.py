"""The rules and the dashboard: valid, tried, and about nothing that a running server does not say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.docs.operating.tools import tool
from tests.docs.pages import DOCS, ROOT, text_of
from tests.journeys.asking import body_of
from tests.monitoring.test_exposition import parsed
from tests.seeded import Seeded
from tests.ui.conftest import client_of
from tests.waiting import wait_until

from trimtab.store import open_store

FOLDER = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "trimtab.json"
PAGE = DOCS / "guide" / "operating" / "prometheus.md"
METRIC = re.compile(r"\btrimtab_[a-z0-9_]+\b(?!\.)")


def promtool(*words: object, cwd: Path = FOLDER, given: str | None = None) -> str:
    done = subprocess.run(
        [tool("promtool", "prometheus"), *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        input=given,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "trimtab.rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[str]:
    """What the dashboard asks, its variables filled."""
    board = json.loads(DASHBOARD.read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [
        variable["query"]["query"] for variable in board["templating"]["list"] if variable["name"] != "datasource"
    ]
    return [re.sub(r"\$(instance|endpoint)", ".*", text) for text in asked]


@pytest.fixture(scope="module")
def scraped(looped: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What ``/metrics`` says where a loop has turned and somebody has just asked."""
    home = tmp_path_factory.mktemp("scraped") / "home"
    shutil.copytree(looped.home, home)
    store = open_store(msgspec.structs.replace(looped.settings, home=str(home)))
    try:
        with client_of(store) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200, "the server is ready")
            row = {"weight": 12.0, "depot": "north", "sent_hour": 9, "depot_delay_mean_24h": 20.0}
            answered = client.post("/v2/models/slow/infer", json=body_of(row))
            assert answered.status_code == 200, answered.text
            wait_until(lambda: "trimtab_minded_timestamp" in client.get("/metrics").text, "endpoints were watched")
            yield client.get("/metrics").text
    finally:
        store.close()


def test_the_rules_are_valid_and_do_what_their_tests_say() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "trimtab.rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "trimtab.tests.yml")


def test_the_rules_tests_notice_a_rule_that_changed(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        shutil.copy(file, tmp_path)
    text = (tmp_path / "trimtab.rules.yml").read_text("utf-8")
    assert "> 0.05" in text
    (tmp_path / "trimtab.rules.yml").write_text(text.replace("> 0.05", "> 0.5"), "utf-8")
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", "trimtab.tests.yml", cwd=tmp_path)


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "trimtab.token").write_text("trimtab_xyz")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=tmp_path)


def test_what_is_scraped_keeps_prometheus_own_rules(scraped: str) -> None:
    promtool("check", "metrics", given=scraped)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_about_what_a_running_server_says(rule: dict[str, Any], scraped: str) -> None:
    said = {sample.partition("{")[0] for sample in parsed(scraped)}
    assert set(METRIC.findall(rule["expr"])) <= said
    assert rule["labels"]["severity"] in ("page", "note")
    assert f"`{rule['alert']}`" in text_of(PAGE)


def test_the_dashboard_asks_for_what_a_running_server_says(scraped: str, tmp_path: Path) -> None:
    said = {sample.partition("{")[0] for sample in parsed(scraped)}
    asked = queries()
    assert set(METRIC.findall("\n".join(asked))) <= said
    # Its expressions are what Prometheus can parse: it reads them as rules.
    graphs = [text for text in asked if not text.startswith("label_values")]
    recorded = [{"record": f"panel:{i}", "expr": text} for i, text in enumerate(graphs)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), "utf-8")
    assert f"{len(recorded)} rules found" in promtool("check", "rules", tmp_path / "panels.yml")


def test_the_labels_that_are_asked_for_are_there(scraped: str) -> None:
    """A label that no sample has would make an empty graph and a silent rule."""
    samples = parsed(scraped)
    given = {"instance", "job"}  # Prometheus adds these
    for text in [*queries(), *(rule["expr"] for rule in rules())]:
        for name, wanted in re.findall(r"(trimtab_\w+)\{([^}]*)\}", text):
            for label in re.findall(r"(\w+)\s*[=!]", wanted):
                known = any(sample.startswith(f"{name}{{") and f'{label}="' in sample for sample in samples)
                assert known or label in given, f"{label} of {name}"


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
