"""Write a model card as HTML that needs no other file, as Markdown, or as JSON."""

import html
import re
from collections.abc import Iterator

from trimtab.governance.dossier import EVENTS
from trimtab.governance.records import Card, CardRecord, Fact, Section
from trimtab.kernel import canonical, figure

MISSING = "missing"
_MARKUP = re.compile(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)")
"""What begins or ends markup in Markdown; an underscore within a word does not."""
_STYLE = """
:root { color-scheme: light dark; --bg: light-dark(#fbfbfa, #101113); --panel: light-dark(#ffffff, #17181b);
  --line: light-dark(#e6e5e1, #2a2c31); --text: light-dark(#1b1c1e, #e9e9ea); --muted: light-dark(#66686d, #9a9ca3);
  --accent: light-dark(#2f5fd0, #7aa2ff); --warn: light-dark(#9a6200, #e2b04a); }
* { box-sizing: border-box; }
html { background: var(--bg); color: var(--text); -webkit-text-size-adjust: 100%;
  font: 400 13px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
body { margin: 0 auto; max-width: 1100px; padding: 24px 16px 32px; font-variant-numeric: tabular-nums;
  display: flex; flex-direction: column; gap: 16px; }
h1, h2, h3, p, dl, dd { margin: 0; }
h1 { font-size: 22px; font-weight: 600; line-height: 1.2; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 15px; font-weight: 600; padding: 12px 16px; border-bottom: 1px solid var(--line); }
h3 { font-size: 12px; font-weight: 600; color: var(--muted); padding: 12px 16px 4px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; border-radius: 3px; }
header p, .note { color: var(--muted); margin-top: 4px; overflow-wrap: anywhere; }
section { border: 1px solid var(--line); border-radius: 8px; background: var(--panel); min-width: 0; }
dl { display: grid; grid-template-columns: minmax(120px, 240px) minmax(0, 1fr); gap: 4px 16px; padding: 12px 16px; }
dt { color: var(--muted); }
dd { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 4px 12px; height: 28px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 16px; }
thead th { font-size: 12px; font-weight: 550; color: var(--muted); white-space: nowrap; }
tbody th { font-weight: 400; }
tbody tr:last-child > * { border-bottom: 0; }
dd a, td a { color: inherit; text-decoration: underline dotted var(--muted); text-underline-offset: 3px; }
dd a:hover, td a:hover { color: var(--accent); }
.num { text-align: right; white-space: nowrap; }
.missing { color: var(--warn); font-weight: 550; }
.id { font: 400 12px/1.5 ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
ul { margin: 0; padding: 12px 16px 12px 32px; }
@media (max-width: 600px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 4px; } }
"""


def as_json(card: Card) -> str:
    """Return a card as canonical JSON: each value with its record and the pointer to its place there."""
    return canonical(card).decode()


def as_markdown(card: Card) -> str:
    """Return a card as Markdown; each value links to the file of its record, and names its digest."""
    return "\n".join(_markdown(card)) + "\n"


def as_html(card: Card) -> str:
    """Return a card as one page that asks for nothing from elsewhere; each value links to its record in it."""
    return "\n".join(_html(card)) + "\n"


def text_of(fact: Fact) -> str:
    """Return a value as a person reads it; the exact one stands beside it in HTML, and in the JSON."""
    match fact.value:
        case None:
            return MISSING if fact.state == "missing" else "none"
        case bool():
            return "yes" if fact.value else "no"
        case int():
            return f"{fact.value:,}".replace(",", " ")
        case float():
            return figure(fact.value)
        case str():
            return fact.value
    raise AssertionError


def source_of(fact: Fact) -> str:
    """Return where a value was read, in words; empty for what is missing."""
    return f"sum of {', '.join(fact.sum_of)}" if fact.sum_of else fact.source


class _Numbered:
    """The records of a card, numbered from 1; the ledger's events are number 0."""

    def __init__(self, card: Card) -> None:
        self._numbers = {record.member: i for i, record in enumerate(card.records, 1)}

    def of(self, fact: Fact) -> int | None:
        source = fact.source or (fact.sum_of[0] if fact.sum_of else "")
        return self._numbers.get(source.partition("#")[0], 0) if source else None


def _head(card: Card) -> str:
    return f"As the ledger {card.origin} told it at position {card.position}. What nobody provided is {MISSING}."


def _vouched(record: CardRecord) -> str:
    return "" if record.position is None else str(record.position)


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line: what people wrote is no markup."""
    return _MARKUP.sub(r"\\\g<0>", html.escape(" ".join(text.splitlines()), quote=False))


def _markdown(card: Card) -> Iterator[str]:
    numbers = _Numbered(card)

    def cell(fact: Fact) -> str:
        number = numbers.of(fact)
        text = _plain(text_of(fact))
        return text if number is None else f"[{text}][{number}]"

    yield f"# Model card: {_plain(card.ref)}\n\n{_head(card)}"
    for section in card.sections:
        yield f"\n## {section.title}\n"
        yield from (f"- {fact.name}: {cell(fact)}" for fact in section.facts)
        for table in section.tables:
            heads = " | ".join(map(_plain, table.columns))
            yield f"\n### {_plain(table.title)}\n\n| {heads} |\n|{' --- |' * len(table.columns)}"
            for row in table.rows:
                yield f"| {' | '.join([_plain(row.label), *map(cell, row.cells)])} |"
    yield "\n## Records\n\nEach value links to the record that it was read from.\n"
    yield f"| record | file | SHA-256 | event |\n|{' --- |' * 4}"
    yield f"| events | [{EVENTS}][0] | each is proved by itself | |"
    for number, record in enumerate(card.records, 1):
        said = f"{record.kind} {record.id}"
        yield f"| {said} | [{record.member}][{number}] | `{record.digest}` | {_vouched(record)} |"
    if card.missing:
        yield "\n## Missing\n"
        yield from (f"- {line}" for line in card.missing)
    yield f"\n[0]: {EVENTS}"
    for number, record in enumerate(card.records, 1):
        yield f'[{number}]: {record.member} "{record.digest}"'


def _html(card: Card) -> Iterator[str]:
    numbers, title = _Numbered(card), html.escape(f"Model card: {card.ref}")
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>"
    )
    yield f"<header><h1>{title}</h1><p>{html.escape(_head(card))}</p></header>"
    yield "<main style='display: contents'>"
    for section in card.sections:
        yield from _section(section, numbers)
    yield from _records(card)
    yield "</main>\n</body>\n</html>"


def _section(section: Section, numbers: _Numbered) -> Iterator[str]:
    yield f"<section><h2>{html.escape(section.title)}</h2>"
    if section.facts:
        rows = (f"<dt>{html.escape(fact.name)}</dt><dd>{_value(fact, numbers)}</dd>" for fact in section.facts)
        yield f"<dl>{''.join(rows)}</dl>"
    for table in section.tables:
        numeric = [all(_is_number(row.cells[i]) for row in table.rows) for i in range(len(table.columns) - 1)]
        kinds = ["", *(' class="num"' if one else "" for one in numeric)]
        heads = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True)
        )
        yield f"<h3>{html.escape(table.title)}</h3><div class='scroll' tabindex='0'><table>"
        yield f"<thead><tr>{heads}</tr></thead><tbody>"
        for row in table.rows:
            cells = "".join(
                f"<td{kind}>{_value(fact, numbers)}</td>" for fact, kind in zip(row.cells, kinds[1:], strict=True)
            )
            yield f'<tr><th scope="row">{html.escape(row.label)}</th>{cells}</tr>'
        yield "</tbody></table></div>"
    yield "</section>"


def _records(card: Card) -> Iterator[str]:
    yield "<section><h2>Records</h2><p class='note' style='padding: 12px 16px 0'>Each value above was read from one of "
    yield "these, and the ledger vouches for them. In an evidence pack they lie beside this card.</p>"
    yield "<div class='scroll' tabindex='0'><table><thead><tr><th scope='col'>record</th><th scope='col'>file</th>"
    yield "<th scope='col'>SHA-256</th><th scope='col'>event</th></tr></thead><tbody>"
    yield '<tr id="r0"><th scope="row">events of the ledger</th><td class="id">ledger/events.jsonl</td>'
    yield "<td>each is proved by itself</td><td></td></tr>"
    for number, record in enumerate(card.records, 1):
        said = f"{record.kind} {record.id}"
        name = f'<a href="{html.escape(record.href)}">{html.escape(said)}</a>' if record.href else html.escape(said)
        member = html.escape(record.member)
        yield (
            f'<tr id="r{number}"><th scope="row">{name}</th><td class="id"><a href="{member}">{member}</a></td>'
            f'<td class="id">{html.escape(record.digest)}</td><td>{_vouched(record)}</td></tr>'
        )
    yield "</tbody></table></div></section>"
    if card.missing:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in card.missing)
        yield f"<section><h2>Missing</h2><ul>{lines}</ul></section>"


def _is_number(fact: Fact) -> bool:
    return fact.value is None or (isinstance(fact.value, int | float) and not isinstance(fact.value, bool))


def _value(fact: Fact, numbers: _Numbered) -> str:
    number = numbers.of(fact)
    if fact.state == "missing":
        return f'<span class="missing">{MISSING}</span>'
    text = html.escape(text_of(fact))
    if number is None:
        return text
    exact = html.escape(f"{fact.value} from {source_of(fact)}", quote=True)
    return f'<a href="#r{number}" title="{exact}">{text}</a>'
