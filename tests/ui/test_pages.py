"""Every page, without a browser: it answers, keeps its budget, escapes what people wrote, and says how to go on."""

import ast
import gzip
import html
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.docs.test_commands import parse
from tests.monitoring.served import START
from tests.monitoring.served import Served as Decided
from tests.seeded import Seeded
from tests.serving.late import FakeReleases, route
from tests.waiting import PATIENCE_S

from trimtab.cli.verbs.why import lines_of
from trimtab.governance import why
from trimtab.store import Store
from trimtab.ui.python import python_line

Address = Callable[[Seeded], str]
PAGES: dict[str, Address] = {
    "home": lambda _: "/ui",
    "data": lambda _: "/ui/data",
    "source": lambda _: "/ui/data/parcels?column=weight",
    "features": lambda _: "/ui/features",
    "view": lambda _: "/ui/features/parcel",
    "runs": lambda _: "/ui/runs",
    "runs filtered": lambda _: "/ui/runs?filter=metrics.auc+%3E+0.7&order=metrics.auc+desc&columns=auc,params.rate",
    "run": lambda s: f"/ui/runs/{s.runs[0]}",
    "compare": lambda s: f"/ui/compare?run:{s.runs[0]}=1&run:{s.runs[1]}=1",
    "pipelines": lambda _: "/ui/pipelines",
    "pipelines filtered": lambda _: "/ui/pipelines?status=failed",
    "pipelines chosen": lambda s: f"/ui/pipelines?run={s.applied}",
    "pipeline": lambda s: f"/ui/pipelines/{s.applied}",
    "pipeline step": lambda s: f"/ui/pipelines/{s.applied}?step=train-slow",
    "pipeline failed": lambda s: f"/ui/pipelines/{s.failed}",
    "models": lambda _: "/ui/models",
    "model": lambda _: "/ui/models/slow",
    "version": lambda _: "/ui/models/slow/1",
    "challenger": lambda _: "/ui/models/slow/2",
    "candidate": lambda _: "/ui/models/slow/3",
    "evaluation": lambda _: "/ui/models/slow/2/evaluation?metric=auc&by=depot",
    "first evaluation": lambda _: "/ui/models/slow/1/evaluation",
    "endpoints": lambda _: "/ui/endpoints",
    "endpoint": lambda _: "/ui/endpoints/slow",
    "decisions": lambda _: "/ui/decisions?endpoint=slow",
    "decision": lambda s: f"/ui/decisions/{s.decisions[0]}",
    "audit": lambda _: "/ui/audit",
    "audit filtered": lambda _: "/ui/audit?type=registry.&actor=ben&since=2013-01-01",
    "event": lambda _: "/ui/audit/3",
    "api": lambda _: "/ui/api",
    "sign in": lambda _: "/ui/sign-in",
    "kit": lambda _: "/ui/kit",
}
LOOP_PAGES: dict[str, str] = {
    "home with a turn": "/ui",
    "loops": "/ui/loop",
    "loop": "/ui/loop/slow",
    "rollout": "/ui/endpoints/slow",
    "pipelines of the loop": "/ui/pipelines",
    "monitors": "/ui/monitor",
    "monitor": "/ui/monitor/slow",
    "monitor a category": "/ui/monitor/slow?column=depot&span=30d&version=1",
    "monitor the prediction": "/ui/monitor/slow?column=prediction&span=1d&version=2",
    "lineage": "/ui/lineage",
    "lineage of a version": "/ui/lineage?about=version:slow@2",
    "lineage of a source": "/ui/lineage?about=source:parcels&position=100",
    "audit of the loop": "/ui/audit",
}
"""Pages of the home in which the loop has turned."""
EMPTY = ("/ui", "/ui/data", "/ui/features", "/ui/runs", "/ui/pipelines", "/ui/models", "/ui/endpoints", "/ui/loop",
         "/ui/monitor", "/ui/decisions", "/ui/audit", "/ui/lineage")  # fmt: skip
BYTES_AT_MOST = 60_000
ELEMENTS_AT_MOST = 2000


@pytest.mark.parametrize("name", [*PAGES, *LOOP_PAGES])
def test_a_page_answers_within_its_budget(request: pytest.FixtureRequest, seeded: Seeded, name: str) -> None:
    client = request.getfixturevalue("client" if name in PAGES else "looped_client")
    answer = client.get(PAGES[name](seeded) if name in PAGES else LOOP_PAGES[name])
    assert answer.status_code == 200, answer.text[-2000:]
    page = answer.text
    assert page.count("<h1") == 1
    assert "Undefined" not in page
    assert not re.search(r'<[^>]+ (style|onclick|onload)="', page), "the policy forbids inline styles and handlers"
    assert "<script>" not in page
    assert len(re.findall(r"<[a-zA-Z]", page)) <= ELEMENTS_AT_MOST
    assets = [client.get(url).content for url in set(re.findall(r'"(/ui/static/[^"]+\.(?:css|js))"', page))]
    sent = len(gzip.compress(page.encode(), 4)) + sum(len(gzip.compress(asset)) for asset in assets)
    assert sent <= BYTES_AT_MOST
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if name not in {"sign in", "compare"}:
        assert 'class="same"' in page, "each screen offers itself as a command and in Python"


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_screen_shows_the_two_lines_that_fill_it(empty_client: httpx.Client, path: str) -> None:
    answer = empty_client.get(path)
    assert answer.status_code == 200
    empty = re.search(r'<div class="empty">.*?<pre>(.*?)</pre>', answer.text, re.DOTALL)
    assert empty is not None
    assert len(empty[1].strip().splitlines()) == 2


def test_what_people_wrote_is_text(client: httpx.Client, seeded: Seeded) -> None:
    page = client.get("/ui/runs").text
    assert "slower &lt;b&gt;" in page
    run = client.get(f"/ui/runs/{seeded.runs[0]}").text
    (href,) = re.findall(r'href="(/ui/artifacts/[^"]+)"', run)
    file = client.get(href)
    assert file.headers["content-disposition"] == 'attachment; filename="first.html"'
    assert file.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("home", ["client", "looped_client"])
def test_the_pages_lead_to_each_other(request: pytest.FixtureRequest, seeded: Seeded, home: str) -> None:
    """Follow every link of every page once: none leads nowhere."""
    client = request.getfixturevalue(home)
    seen: set[str] = set()
    for address in [address(seeded) for address in PAGES.values()] if home == "client" else LOOP_PAGES.values():
        page = client.get(address)
        for href in re.findall(r'href="(/[^"#]*)', page.text):
            seen.add(href.replace("&amp;", "&"))
    broken = {href: client.get(href).status_code for href in sorted(seen)}
    assert {href: status for href, status in broken.items() if status not in (200, 303)} == {}


def test_the_first_address_leads_to_the_pages(client: httpx.Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/ui/nothing", 404, "there is nothing at"),
        ("/ui/models/nothing", 404, "there is no model"),
        ("/ui/models/slow/99", 404, "slow@99"),
        ("/ui/models/slow/1.5", 400, "names no version"),
        ("/ui/models/slow/2/evaluation?metric=luck", 400, "is no metric of this evaluation"),
        ("/ui/models/slow/99/evaluation", 404, "slow@99"),
        ("/ui/data/nothing", 404, "no such state"),
        ("/ui/data/parcels?page=0", 400, "is not a page"),
        ("/ui/runs?filter=metrics.auc+%3E", 400, "filter"),
        ("/ui/compare?run:x=1", 400, "1 run chosen"),
        ("/ui/pipelines?status=odd", 400, "odd"),
        ("/ui/pipelines?run=017MJX5EG0ZE9Z452JPBRNNFDN", 404, "there is no pipeline run"),
        ("/ui/audit?since=yesterday", 400, "is not a time"),
        ("/ui/audit/first", 400, "is not a position"),
        ("/ui/audit/999999", 404, "there is no event"),
        ("/ui/loop/nothing", 404, "there is no model"),
        ("/ui/loop/slow?turn=01JX", 404, "there is no turn"),
        ("/ui/monitor/nothing", 404, "there is no endpoint"),
        ("/ui/monitor/slow?span=2h", 400, "is no span to look at"),
        ("/ui/monitor/slow?version=first", 400, "is no version"),
        ("/ui/lineage?about=luck:1", 400, "names nothing whose lineage"),
        ("/ui/lineage?about=version:slow@9", 404, "slow@9"),
        ("/ui/lineage?about=source:parcels&position=x", 400, "is not a position"),
        ("/ui/decisions/01JX", 404, "there is no decision"),
        ("/ui/endpoints/none", 404, "there is no endpoint"),
        ("/ui/artifacts/none", 404, "artifact"),
        ("/ui/static/x/none.css", 404, "there is no file"),
    ],
)
def test_a_mistake_is_told_on_a_page_with_what_to_do_next(
    client: httpx.Client, path: str, status: int, says: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), answer.text
    assert says in answer.text
    assert "What to do next" in answer.text


def test_assets_are_kept_by_their_content(client: httpx.Client) -> None:
    (url,) = re.findall(r'href="(/ui/static/[^"]+kit.css)"', client.get("/ui/kit").text)
    answer = client.get(url)
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(url.replace(url.split("/")[3], "old")).headers["cache-control"] == "no-store"


def test_all_scripts_together_are_small(client: httpx.Client) -> None:
    from importlib.resources import files

    scripts = [file for file in files("trimtab.ui").joinpath("static").iterdir() if file.name.endswith(".js")]
    assert sum(len(script.read_bytes()) for script in scripts) <= 20_000
    assert all("http" not in script.read_text("utf-8") for script in scripts), "nothing is asked from a foreign host"


@pytest.mark.parametrize("name", sorted((PAGES.keys() | LOOP_PAGES.keys()) - {"kit", "sign in"}))
def test_a_page_offers_lines_that_can_be_typed(request: pytest.FixtureRequest, seeded: Seeded, name: str) -> None:
    client = request.getfixturevalue("client" if name in PAGES else "looped_client")
    page = client.get(PAGES[name](seeded) if name in PAGES else LOOP_PAGES[name]).text
    shell, python = (
        html.unescape(line) for line in re.findall(r'<span class="kind">\w+</span><code>(.*?)</code>', page)
    )
    for command in shell.split("  &&  "):
        match shlex.split(command):
            case ["trimtab", *rest]:
                parse(rest)
            case other:
                assert other[0] == "curl", "a screen offers itself as a command line"
    compile(python, name, "exec")


@pytest.mark.parametrize("home", ["seeded", "looped"])
def test_the_line_of_python_under_every_page_is_run(
    request: pytest.FixtureRequest, seeded: Seeded, home: str, tmp_path: Path
) -> None:
    """Copy each line into a session of its own folder: it needs nothing else, and answers."""
    client = request.getfixturevalue("client" if home == "seeded" else "looped_client")
    pages = (
        {name: address(seeded) for name, address in PAGES.items() if name not in {"kit", "sign in"}}
        if home == "seeded"
        else LOOP_PAGES
    )
    lines = {
        name: html.unescape(re.findall(r'<span class="kind">Python</span><code>(.*?)</code>', client.get(path).text)[0])
        for name, path in pages.items()
    }
    settings = request.getfixturevalue(home).settings
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", SESSION], input=json.dumps(lines), text=True,
        capture_output=True, cwd=tmp_path, timeout=PATIENCE_S, check=False,
        env={**os.environ, "TRIMTAB_HOME": settings.home, "TRIMTAB_CLOCK": settings.clock},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert set(answers) == set(pages)
    assert {name: answer for name, answer in answers.items() if answer in ("NoneType", "function", "module")} == {}
    assert answers["runs" if home == "seeded" else "loop"] == ("RunPage" if home == "seeded" else "list")


SESSION = """
import ast, json, sys
answers = {}
for name, line in json.load(sys.stdin).items():
    *before, last = ast.parse(line).body
    names = {}
    exec(compile(ast.Module(before, []), name, "exec"), names)
    answers[name] = type(eval(compile(ast.Expression(last.value), name, "eval"), names)).__name__
print(json.dumps(answers))
"""
"""Runs each line in names of its own, and tells of what kind its last value is."""


@given(st.text(), st.text())
def test_no_value_of_a_link_leaves_its_literal(first: str, second: str) -> None:
    line = python_line("tracking", "search_runs", first, experiment=second)
    *imports, call = ast.parse(line).body
    assert [type(one) for one in imports] == [ast.ImportFrom] * 2
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert [ast.literal_eval(one) for one in call.value.args[1:]] == [first]
    assert {one.arg: ast.literal_eval(one.value) for one in call.value.keywords} == {"experiment": second}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/ui/audit?type=x;reboot&actor=$(id)", "trimtab get events --type 'x;reboot' --actor '$(id)'  &&"),
        (
            "/ui/audit?about=version:a;b&since=2013-01-01",
            "trimtab get events --subject 'version:a;b' --since 2013-01-01",
        ),
        ("/ui/runs?filter=tags.a+%3D+%22%60id%60%22", "trimtab get runs --filter 'tags.a = \"`id`\"'"),
    ],
)
def test_a_link_puts_no_command_into_the_line_to_copy(client: httpx.Client, path: str, line: str) -> None:
    assert f"<code>{line}" in html.unescape(client.get(path).text)


def test_where_the_clock_stood_still_no_latency_is_shown(client: httpx.Client, seeded: Seeded) -> None:
    page = client.get(f"/ui/decisions/{seeded.decisions[0]}").text
    assert '<dt>Latency</dt><dd>not measured<div class="note">the clock stood still, as in a replay</div>' in page
    listed = client.get("/ui/decisions").text
    assert (listed.count("not measured"), listed.count("0 s")) == (listed.count("nowrap"), 0)
    assert "of them were not measured: the clock stood still, as in a replay." in client.get("/ui/endpoints/slow").text


def test_a_decision_says_what_its_row_breaks(empty_client: httpx.Client, sqlite_store: Store) -> None:
    releases = FakeReleases()
    releases.release(sqlite_store, 1, None, digest="sha256:" + "0" * 64)
    route(sqlite_store, releases, broken_rows="flag")
    text = "distance 9000, promised 0 to 5000"
    broken, kept = Decided(sqlite_store).decide([0.5, 0.6], at=START, broken=[[text], None])
    page = empty_client.get(f"/ui/decisions/{broken}").text
    assert "The row breaks its contract" in page
    assert text in page
    assert "breaks its contract" not in empty_client.get(f"/ui/decisions/{kept}").text
    assert empty_client.get("/ui/decisions").text.count("breaks its contract") == 1
    assert empty_client.get(f"/api/v1/decisions/{broken}").json()["broken"] == [text]
    assert f"  breaks       its contract: {text}" in list(lines_of(why(sqlite_store, broken)))
    assert not any("breaks" in line for line in lines_of(why(sqlite_store, kept)))
