"""The filter language is read as written, and a mistake is shown at its character."""

import pytest

from trimtab.tracking import FilterProblem
from trimtab.tracking.filter import And, Not, Or, OrderKey, Term, parse_filter, parse_order


def term(scope, key, op, value, at=0):
    return Term(scope, key, op, value, at)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("   ", None),
        ("metrics.auc > 0.7", term("metrics", "auc", ">", 0.7)),
        ("metric.auc>=-1e-3", term("metrics", "auc", ">=", -0.001)),
        ("params.lr == '0.1'", term("params", "lr", "=", "0.1")),
        ('params.lr <> "a""b"', term("params", "lr", "!=", 'a"b')),
        ("tags.who = 'it''s'", term("tags", "who", "=", "it's")),
        ("tag.x LIKE 'a%'", term("tags", "x", "like", "a%")),
        ("tags.x not ilike 'a%'", term("tags", "x", "not ilike", "a%")),
        ("status IN ('failed', 'lost')", term("attributes", "status", "in", ("failed", "lost"))),
        ("params.n NOT IN (1, 2.5)", term("params", "n", "not in", (1.0, 2.5))),
        ("attributes.parent IS NULL", term("attributes", "parent", "null", None)),
        ("run.parent is not null", Not(term("attributes", "parent", "null", None))),
        ('metrics."val loss" < 1', term("metrics", "val loss", "<", 1.0)),
        ("metrics.`a'b` < 1", term("metrics", "a'b", "<", 1.0)),
        ("metrics.val/loss-2 < 1", term("metrics", "val/loss-2", "<", 1.0)),
        ("params.model.depth = 3", term("params", "model.depth", "=", 3.0)),
        ("metrics.0 = 3", term("metrics", "0", "=", 3.0)),
        ("metrics.größe = 3", term("metrics", "größe", "=", 3.0)),
    ],
)
def test_one_comparison(text, expected):
    assert parse_filter(text) == expected


def test_not_binds_tighter_than_and_and_and_than_or():
    a, b, c = (term("tags", key, "=", 1.0, at) for key, at in (("a", 0), ("b", 15), ("c", 33)))
    assert parse_filter("tags.a = 1 and tags.b = 1     or tags.c = 1") == Or((And((a, b)), c))
    a, b, c = (term("tags", key, "=", 1.0, at) for key, at in (("a", 5), ("b", 20), ("c", 35)))
    assert parse_filter("not (tags.a = 1 or   tags.b = 1 ) and tags.c=1") == And(
        (Not(Or((a, msgspec_at(b, 21)))), msgspec_at(c, 38))
    )
    assert parse_filter("NOT NOT tags.a = 1") == Not(Not(msgspec_at(a, 8)))


def msgspec_at(found, at):
    return Term(found.scope, found.key, found.op, found.value, at)


@pytest.mark.parametrize(
    ("text", "character", "says"),
    [
        ("metrics.auc", 12, "a comparison (=, !=, <, >, LIKE, IN, IS NULL) was expected, not the end"),
        ("metrics.auc >", 14, "a number or a text in quotes was expected, not the end"),
        ("metrics.auc >> 1", 14, "a number or a text in quotes was expected, not '>'"),
        ("metrics.auc = good", 15, "write 'good'"),
        ("metrics. > 1", 10, "a name was expected after the dot"),
        ("values.auc > 1", 1, "there is no 'values'"),
        ("auc > 1 AND", 12, "was expected, not the end"),
        ("(tags.a = 1", 12, "the parenthesis of character 1 is not closed"),
        ("tags.a = 1)", 11, "AND, OR or the end was expected, not ')'"),
        ("tags.a = 1 tags.b = 2", 12, "AND, OR or the end was expected"),
        ("tags.a = 'open", 10, "the quote ' is not closed"),
        ("tags.a ? 1", 8, "'?' has no meaning here"),
        ("tags.a LIKE 1", 13, "LIKE compares with a text"),
        ("tags.a IN 'x'", 11, "a list such as"),
        ("tags.a IN ('x'", 15, "the list is not closed"),
        ("tags.a IS 1", 11, "NULL was expected after IS"),
        ("tags.a NOT = 1", 12, "a comparison"),
        ("and = 1", 1, "was expected, not 'and'"),
        ("tags.a = 'a\x00b'", 10, "a character that no run can have"),
        ("(" * 60 + "tags.a = 1" + ")" * 60, 51, "more than 50 levels"),
        (" or ".join(["tags.a = 1"] * 101), 1401, "more than 100 comparisons"),
        ("a" * 10_001, 10_001, "at most 10000 are read"),
    ],
)
def test_a_mistake_is_shown_at_its_character(text, character, says):
    with pytest.raises(FilterProblem) as caught:
        parse_filter(text)
    error = caught.value
    assert error.where == f"filter, character {character}"
    assert error.data["position"] == character - 1
    assert says in error.what
    assert "▸" in error.what


def test_sort_keys():
    assert parse_order("metrics.auc DESC") == OrderKey("metrics", "auc", True)
    assert parse_order("started_at") == OrderKey("attributes", "started_at", False)
    assert parse_order('params."a b" asc') == OrderKey("params", "a b", False)
    with pytest.raises(FilterProblem, match="character 13"):
        parse_order("metrics.auc downwards")
