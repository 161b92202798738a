"""Model cards: each value was read from the record that it names, and nothing else is said."""

import json
from html.parser import HTMLParser

import msgspec
import pytest
from tests.registry.cases import registered

from trimtab.evaluation import get_evaluation
from trimtab.governance import Card, Fact, Section, as_html, as_json, as_markdown, model_card
from trimtab.governance.card import card_of
from trimtab.governance.dossier import dossier_of
from trimtab.governance.history import size_at
from trimtab.kernel import Actor, ActorKind
from trimtab.registry import approve, get_version
from trimtab.serving import sealed_segments
from trimtab.store import Store, events


@pytest.fixture(scope="module")
def card(lived: Store) -> Card:
    return model_card(lived, "slow@1")


def facts_of(card: Card) -> list[Fact]:
    found = []
    for section in card.sections:
        found += section.facts
        found += [fact for table in section.tables for row in table.rows for fact in row.cells]
    return found


def test_each_value_stands_in_the_record_that_it_names(lived: Store, card: Card) -> None:
    dossier = dossier_of(lived, "slow@1", size=size_at(lived, None))
    known = {record.member: record for record in card.records}
    facts = [fact for fact in facts_of(card) if fact.source]
    assert len(facts) > 100
    for fact in facts:
        member = fact.source.partition("#")[0]
        assert dossier.look(fact.source) == fact.value
        assert member == "ledger/events.jsonl" or known[member].digest == dossier.members[member].digest
    for fact in facts_of(card):
        numeric = isinstance(fact.value, int | float) and not isinstance(fact.value, bool)
        assert not numeric or fact.source or fact.sum_of, f"{fact} names no source"
        assert fact.state != "missing" or (fact.value is None and not fact.source)


def test_what_it_says(lived: Store, card: Card) -> None:
    version = get_version(lived, "slow@1")
    report = get_evaluation(lived, version.evaluation_id or "").report
    metrics = next(table for table in card.section("Evaluation").tables if table.title == "Metrics")
    auc = next(row for row in metrics.rows if row.label == "auc")
    assert auc.cells[0].value == report.evaluation.metrics["auc"].value
    assert auc.cells[0].source == "evaluation/report.json#/evaluation/metrics/auc/value"
    said = card.section("Approvals").tables[0].rows[0]
    assert [fact.value for fact in said.cells[:3:2]] == ["ben", "first model"]
    counted = card.section("Release and service").facts[0]
    sealed = events(lived, subject=("version", "slow@1"), type="serving.decisions-sealed")
    assert counted.value == sum(event.data["by_version"]["slow@1"] for event in sealed) > 0
    assert sum(segment.count for segment in sealed_segments(lived, "slow")) >= counted.value


@pytest.mark.parametrize(
    ("issuers", "says"), [((), None), (("root",), "root"), (("ops", "root"), "ops, root")], ids=["none", "one", "two"]
)
def test_who_issued_a_token_stands_beside_whoever_holds_it(
    store: Store, issuers: tuple[str, ...], says: str | None
) -> None:
    bob = Actor("bob", ActorKind.PERSON, issuers or msgspec.UNSET)
    version = registered(store, bob)
    with store.change(bob, "it is better") as change:
        approve(change, version)
    card = model_card(store, version)
    (table,) = card.section("Approvals").tables
    approval, registration = table.rows[0].cells[-1], card.section("Model").facts[-3]
    assert table.columns[-1] == approval.name == registration.name == "token issued by"
    assert (approval.value, registration.value, approval.state) == (says, says, "auto")
    assert json.loads(as_json(card))["sections"][0]["facts"][-3]["value"] == says
    assert f"- token issued by: {'none' if says is None else says if ',' in says else f'[{says}]['}" in as_markdown(
        card
    )
    assert "token issued by</th>" in as_html(card)


def test_a_gap_stands_beside_what_chance_alone_gives(lived: Store, card: Card) -> None:
    report = get_evaluation(lived, get_version(lived, "slow@1").evaluation_id or "").report
    (table,) = (one for one in card.section("Evaluation").tables if one.title == "Gaps between groups by depot")
    parity = next(row for row in table.rows if row.label == "demographic parity")
    found = report.evaluation.fairness["depot"].demographic_parity
    assert found.chance is not None
    assert (parity.cells[2].value, parity.cells[-1].value) == (found.value.value, found.chance)
    assert table.columns[1:3] == ("lowest group", "highest group")
    assert tuple(cell.value for cell in parity.cells[:2]) == found.slices
    assert (table.columns[-1], parity.cells[-1].name) == ("chance alone, 19 of 20 cases",) * 2


def test_the_turn_that_brought_it_about(lived: Store) -> None:
    moves = events(lived, type="loop.turn-moved", subject=("version", "slow@2"))
    turn = moves[0].data["turn"]
    (table,) = model_card(lived, "slow@2").section("Turn of the loop").tables
    told = events(lived, subject=("turn", turn))
    assert [row.cells[0].source for row in table.rows] == [f"ledger/events.jsonl#/{e.position}/at" for e in told]
    assert table.rows[0].label == "opened"
    assert table.rows[-1].label == f"{told[-1].data['was']} > {told[-1].data['now']}"
    assert [row.cells[3].value for row in table.rows[1:]] == [event.data["text"] for event in told[1:]]


def test_what_nobody_provided_is_missing(card: Card) -> None:
    missing = {fact.name for fact in facts_of(card) if fact.state == "missing"}
    assert {"intended use", "known limitations", "ethical considerations", "description", "owner"} <= missing
    page, text = as_html(card), as_markdown(card)
    assert '<dt>intended use</dt><dd><span class="missing">missing</span></dd>' in page
    assert "- intended use: missing" in text
    assert "- task: [classification][" in text
    assert "override</th>" in page
    assert ">none</a>" in page
    assert json.loads(as_json(card))["sections"][1]["facts"][0] == {
        "name": "intended use", "source": "", "state": "missing", "sum_of": [], "value": None,
    }  # fmt: skip


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.ids: set[str] = set()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.hrefs += [found["href"] or ""] if "href" in found else []
        self.ids |= {found["id"] or ""} if "id" in found else set()
        self.foreign += [tag] if tag in ("script", "link", "img", "iframe") or "src" in found else []


def test_the_page_needs_no_other_and_each_number_links_to_its_record(card: Card) -> None:
    page = Links()
    page.feed(as_html(card))
    assert page.foreign == []
    assert not [href for href in page.hrefs if "://" in href]
    inside = {href[1:] for href in page.hrefs if href.startswith("#")}
    assert inside
    assert inside <= page.ids
    assert len(as_html(card)) < 150_000


def test_texts_cannot_become_markup(card: Card) -> None:
    nasty = msgspec.structs.replace(card, ref="<script>alert(1)</script>|@1")
    assert "<script" not in as_html(nasty)
    reason = Fact(name="because", value="[a](javascript:b) *c* _d_ e_f <img src=x>|\ng", state="declared")
    text = as_markdown(msgspec.structs.replace(nasty, sections=(Section(title="Approvals", facts=(reason,)),)))
    assert "# Model card: &lt;script&gt;alert(1)&lt;/script&gt;\\|@1" in text
    assert r"- because: \[a\](javascript:b) \*c\* \_d\_ e_f &lt;img src=x&gt;\| g" in text


def test_it_is_the_same_as_of_the_same_position(lived: Store, card: Card) -> None:
    assert as_json(model_card(lived, "slow@1", position=card.position)) == as_json(card)
    entered = events(lived, subject=("version", "slow@1"), type="registry.version-registered")[0].position
    early = model_card(lived, "slow@1", position=entered)
    assert early.section("Approvals").facts[0] == Fact(name="approval")
    assert early.section("Release and service").facts[0].state == "missing"
    assert next(fact.value for fact in early.section("Model").facts if fact.name == "status") == "candidate"


def test_a_run_outside_of_git_names_no_commit(lived: Store) -> None:
    dossier = dossier_of(lived, "slow@1", size=size_at(lived, None))
    captured = dossier.members["environment/run.json"]
    without = msgspec.structs.replace(captured, data=msgspec.json.encode(captured.value | {"code": None}))
    changed = msgspec.structs.replace(dossier, members=dossier.members | {captured.name: without})
    facts = {fact.name: fact for fact in card_of(changed, origin="x").section("Environment").facts}
    assert facts["commit"] == Fact(name="commit")
    assert facts["python"].source == "environment.json#/python"


def test_a_version_of_which_little_is_known(store: Store) -> None:
    card = model_card(store, registered(store, evaluation_id=None))
    assert card.section("Evaluation").facts == (Fact(name="evaluation"),)
    assert card.section("Gate").facts == (Fact(name="verdict"),)
    assert any(line.startswith("evaluation: late@1 was registered without one") for line in card.missing)
    assert "late@1" in as_html(card)
    assert "late@1" in as_markdown(card)
