"""Search finds what a plain Python reading of the same filter finds, on both databases, in any order, page by page."""

import math
import re
from datetime import datetime
from functools import cmp_to_key

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.kernel import Invalid
from trimtab.tracking import (
    Batch,
    ExperimentMissing,
    FilterProblem,
    FinishRun,
    MetricPoint,
    RunStatus,
    StartRun,
    close_run,
    log_batch,
    open_run,
    search_runs,
)
from trimtab.tracking.filter import And, Not, Or, Term, parse_filter, parse_order
from trimtab.tracking.names import number_in

TEXTS = [
    "0.1",
    "0.10",
    "1e-1",
    "auto",
    "Auto",
    "a%b",
    "a_b",
    "axb",
    "a[b",
    "a*b",
    "ä",
    "Ä",
    "ΣΑΣ",
    "σας",
    "STRAẞE",
    "straße",
    "strasse",
    "İ",
    "i",
    "",
    "-5",
    "nan",
    "inf",
    "z\\",
]
NUMBERS = [0.1, 1.0, -5.0, 0.0, 1e308]


def reading(expression, run):
    """Say whether a run is described: the language in the plainest Python."""
    match expression:
        case None:
            return True
        case And(parts):
            return all(reading(part, run) for part in parts)
        case Or(parts):
            return any(reading(part, run) for part in parts)
        case Not(part):
            return not reading(part, run)
        case Term(scope, key, op, wanted):
            values = {"metrics": run["metrics"], "params": run["params"], "tags": run["tags"], "attributes": run}[scope]
            found = values.get(key)
            if op == "null":
                return found is None
            if scope == "metrics":
                return found is not None and measured(found, op, wanted)
            if key in ("started_at", "finished_at"):
                wanted = datetime.fromisoformat(wanted.replace("Z", "") + "+00:00").isoformat()
            return found is not None and compared(found, op, wanted)
    raise AssertionError


def measured(found, op, wanted):
    """Compare a metric: NaN is found by its own name alone."""
    numbers = [float(one) for one in (wanted if isinstance(wanted, tuple) else (wanted,))]
    if op in ("=", "in"):
        return any(found == one or (math.isnan(found) and math.isnan(one)) for one in numbers)
    if math.isnan(found):
        return False
    return compared(found, op, tuple(numbers) if isinstance(wanted, tuple) else numbers[0])


def compared(found, op, wanted):
    first = wanted[0] if isinstance(wanted, tuple) else wanted
    if isinstance(first, float) and isinstance(found, str):
        found = number_in(found)
        if found is None:
            return op in ("!=", "not in")
    match op:
        case "=":
            return found == wanted
        case "!=":
            return found != wanted
        case "<":
            return found < wanted
        case "<=":
            return found <= wanted
        case ">":
            return found > wanted
        case ">=":
            return found >= wanted
        case "in":
            return found in wanted
        case "not in":
            return found not in wanted
    pattern, ignoring = "", op.endswith("ilike")
    quoted = False
    for character in wanted:
        if quoted or character not in "%_\\":
            pattern, quoted = pattern + re.escape(character), False
        elif character == "\\":
            quoted = True
        else:
            pattern += "." if character == "_" else ".*"
    pattern += re.escape("\\") if quoted else ""
    if ignoring:
        found, pattern = simply_folded(found), simply_folded(pattern)
    matched = re.fullmatch(pattern, found, re.DOTALL) is not None
    return not matched if op.startswith("not") else matched


FOLDED = {"Ä": "ä", "Σ": "σ", "ς": "σ", "Α": "α", "ẞ": "ß"}
"""By hand from Unicode's CaseFolding.txt: what the texts here hold. ß and İ have no simple folding."""


def simply_folded(text):
    return "".join(FOLDED.get(c, c.lower() if c.isascii() else c) for c in text)


@pytest.fixture
def runs(store, actor, clock):
    """A few dozen runs with everything that is hard to compare, as plain dictionaries."""
    made = []
    for n in range(28):
        params = {"lr": TEXTS[n % len(TEXTS)], "n": str(n % 7)} if n % 5 else {}
        tags = {"team": TEXTS[(n * 3) % len(TEXTS)]} if n % 3 else {}
        metrics = {"auc": [0.1, 0.5, 1.0, float("nan"), float("inf"), float("-inf"), -5.0][n % 7]} if n % 4 else {}
        clock.sleep(n % 2)
        start = StartRun(experiment=f"e{n % 2}", name=TEXTS[n % 12] or "none", params=params, tags=tags)
        run = open_run(store, start, actor=actor)
        points = tuple(
            MetricPoint(key, 0, 0, value if math.isfinite(value) else str(value)) for key, value in metrics.items()
        )
        log_batch(store, run.id, Batch(writer="w", number=1, points=points))
        if n % 6 == 0:
            run = close_run(store, run.id, FinishRun(status=RunStatus.FAILED), actor=actor)
        made.append(
            {
                "id": run.id, "name": run.name, "status": run.status.value, "experiment": run.experiment,
                "started_at": run.started_at.isoformat(), "parent": None, "actor": "tester", "kind": "user",
                "finished_at": run.finished_at.isoformat() if run.finished_at else None, "host": None, "error": "",
                "metrics": metrics, "params": params, "tags": tags,
            }
        )  # fmt: skip
    return made


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


number_ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
texts, numbers = st.sampled_from(TEXTS).map(quoted), st.sampled_from(NUMBERS).map(repr)
patterns = st.text(alphabet="aAb%_\\[*äÄ.1ΣσςßẞsSİi", max_size=5).map(quoted)
columns = st.sampled_from(["params.lr", "params.n", "tags.team", "tags.none"])
lists = st.one_of(
    st.lists(texts, min_size=1, max_size=3).map(", ".join), st.lists(numbers, min_size=1, max_size=3).map(", ".join)
)
nullable = st.one_of(columns, st.sampled_from(["metrics.auc", "finished_at", "parent"]))
moments = st.sampled_from(["{}", "{}Z"]).flatmap(
    lambda form: st.integers(0, 20).map(lambda second: quoted(form.format(f"2013-03-01T00:00:{second:02}")))
)
likes = st.sampled_from(["LIKE", "ILIKE", "NOT LIKE", "not ilike"])
odd = st.sampled_from(["'nan'", "'inf'", "'-INF'"]) | numbers
terms = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["metrics.auc", "metrics.none"]), number_ops, odd),
    st.builds("metrics.auc {} ({}, {})".format, st.sampled_from(["IN", "NOT IN"]), odd, odd),
    st.builds("{} {} {}".format, columns, number_ops, st.one_of(texts, numbers)),
    st.builds("{} {} {}".format, columns, likes, patterns),
    st.builds("{} {} ({})".format, columns, st.sampled_from(["IN", "NOT IN"]), lists),
    st.builds("{} IS {}".format, nullable, st.sampled_from(["NULL", "NOT NULL"])),
    st.builds("{} {} {}".format, st.sampled_from(["name", "status", "experiment"]), number_ops, texts),
    st.builds("name {} {}".format, likes, patterns),
    st.builds("{} {} {}".format, st.sampled_from(["started_at", "finished_at"]), number_ops, moments),
)
filters = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
        st.builds("not {} and {}".format, inner, inner),
    ),
    max_leaves=5,
)
orders = st.lists(
    st.builds(
        "{} {}".format,
        st.sampled_from(["metrics.auc", "params.lr", "tags.team", "name", "finished_at", "started_at", "metrics.none"]),
        st.sampled_from(["", "asc", "DESC"]),
    ),
    max_size=3,
)


def expected_order(found, order_by):
    keys = [parse_order(text) for text in order_by]

    def compare(left, right):
        for key in keys:
            for a, b in zip(sort_values(left, key), sort_values(right, key), strict=True):
                if a == b:
                    continue
                if a is None or b is None:
                    return 1 if a is None else -1
                return (1 if a > b else -1) * (-1 if key.descending else 1)
        a, b = ((run["started_at"], run["id"]) for run in (left, right))
        return -1 if a > b else 1

    return sorted(found, key=cmp_to_key(compare))


def sort_values(run, key):
    if key.scope == "attributes":
        return (run[key.key],)
    value = run[key.scope].get(key.key)
    if key.scope == "metrics":
        lacking = (value is None) * (-1 if key.descending else 1)  # comes last either way
        return (None if value is None or math.isnan(value) else value, lacking)
    return (number_in(value) if value is not None else None, value)


def found_by(store, text, order_by=(), limit=1000):
    ids, cursor = [], None
    while True:
        page = search_runs(store, text, order_by=order_by, limit=limit, cursor=cursor)
        ids += [run.id for run in page.items]
        cursor = page.next
        if cursor is None:
            return ids


def test_every_filter_finds_what_a_plain_reading_finds(store, runs):
    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
    @given(filters)
    def check(text):
        expression = parse_filter(text)
        expected = {run["id"] for run in runs if reading(expression, run)}
        assert set(found_by(store, text)) == expected

    check()


def test_every_order_is_that_of_a_plain_sort_page_by_page(store, runs):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(orders, st.integers(4, 40))
    def check(order_by, limit):
        expected = [run["id"] for run in expected_order(runs, order_by)]
        assert found_by(store, "", order_by, limit) == expected

    check()


@pytest.fixture
def few(sqlite_store, actor, clock):
    """Six runs of two experiments, the newest first."""
    ids = []
    for n in range(6):
        ids.append(open_run(sqlite_store, StartRun(experiment=f"e{n % 2}", name=f"run{n}"), actor=actor).id)
        clock.sleep(1)
    return ids[::-1]


def test_pages_do_not_shift_when_runs_are_added(sqlite_store, few, actor):
    store = sqlite_store
    first = search_runs(store, "", limit=2)
    open_run(store, StartRun(experiment="e0"), actor=actor)
    second = search_runs(store, "", limit=2, cursor=first.next)
    assert [run.id for run in (*first.items, *second.items)] == few[:4]


def test_an_experiment_narrows_and_a_misspelt_one_says_so(sqlite_store, few):
    assert [run.id for run in search_runs(sqlite_store, experiment="e1").items] == few[::2]
    with pytest.raises(ExperimentMissing, match="there is no experiment 'e7'"):
        search_runs(sqlite_store, experiment="e7")


def test_what_cannot_be_compared_says_so(sqlite_store):
    store = sqlite_store
    for text, says in (
        ("metrics.auc = 'high'", "metrics.auc is a number"),
        ("metrics.auc LIKE 'nan'", "metrics.auc is a number"),
        ("name = 5", "name is a text"),
        ("colour = 'red'", "a run has no attribute 'colour', but"),
        ("started_at > 'yesterday'", "'yesterday' is not a time"),
        ("started_at LIKE '2013%'", "is a time and is compared with"),
        ("params.a IN (1, 'b')", "a list holds either numbers or texts"),
    ):
        with pytest.raises(FilterProblem, match=re.escape(says)):
            search_runs(store, text)
    with pytest.raises(FilterProblem, match="no attribute 'colour'"):
        search_runs(store, order_by="colour")
    with pytest.raises(FilterProblem, match="more than 5 sort keys"):
        search_runs(store, order_by=["name"] * 6)


def test_a_cursor_belongs_to_its_search(sqlite_store, few):
    store = sqlite_store
    cursor = search_runs(store, "", order_by="name", limit=3).next
    for foreign in (cursor[:-4], "nonsense!", "W10", cursor.replace("A", "B")):
        with pytest.raises(Invalid, match="cursor"):
            search_runs(store, "", order_by="name", limit=3, cursor=foreign + "x")
    with pytest.raises(Invalid, match="cursor"):
        search_runs(store, "", order_by="started_at", limit=3, cursor=cursor)
    with pytest.raises(Invalid, match="cursor"):
        search_runs(store, "name != 'x'", order_by="name", limit=3, cursor=cursor)


NEIGHBOURS = [
    -(10**19) - 1,
    -(10**19),
    -(2**53) - 1,
    -(2**53),
    5,
    *range(2**53 - 1, 2**53 + 4),
    2**63,
    10**19,
    10**19 + 1,
]


def test_whole_numbers_are_compared_to_the_last_digit(store, actor):
    number_of = {}
    for number in NEIGHBOURS:
        run = open_run(store, StartRun(experiment="seeds", params={"seed": str(number)}), actor=actor)
        number_of[run.id] = number
    word = open_run(store, StartRun(experiment="seeds", params={"seed": "none"}), actor=actor).id
    rounded = open_run(store, StartRun(experiment="seeds", params={"seed": "1e19"}), actor=actor).id

    def found(condition):
        ids = set(found_by(store, f"params.seed {condition}")) - {rounded}
        return {"none" if one == word else number_of[one] for one in ids}

    for wanted in NEIGHBOURS:
        for op in ("<", "<=", ">", ">="):
            expected = {number for number in NEIGHBOURS if compared(number, op, wanted)}
            assert found(f"{op} {wanted}") == expected, (op, wanted)
        assert found(f"= {wanted}") == found(f"IN ({wanted})") == {wanted}
        assert found(f"!= {wanted}") == found(f"NOT IN ({wanted})") == {*NEIGHBOURS, "none"} - {wanted}
    assert found(f"IN (5, {2**53 + 1}, {10**19})") == {5, 2**53 + 1, 10**19}
    assert rounded in found_by(store, f"params.seed = {10**19}")
    padded = open_run(store, StartRun(experiment="seeds", params={"seed": f"-000{2**53 + 1}"}), actor=actor)
    for condition, is_found in ((f"= -{2**53 + 1}", True), (f"< -{2**53}", True), (f"< -{2**53 + 1}", False)):
        assert (padded.id in found_by(store, f"params.seed {condition}")) is is_found
    assert search_runs(store, f"metrics.auc > {10**30} OR metrics.auc IN ({2**64}, 1)").items == ()
