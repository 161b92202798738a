"""The command itself: verbs, help, options before and after the verb, errors, exit codes."""

import ast
import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from tests.cli.conftest import Type

import trimtab.cli.listing as listing
from trimtab.cli.listing import VERBS
from trimtab.cli.main import trimtab as main_group
from trimtab.cli.output import Column, show_list, text_of
from trimtab.cli.verbs.get import NOUNS, OTHER_WORDS
from trimtab.kernel import VERSION

SOURCE = Path(listing.__file__).parent.parent


def test_help_lists_every_verb(trimtab: Type) -> None:
    typed = trimtab("--help")
    assert typed.code == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", typed.out, re.MULTILINE)
    assert "plan    0 nothing to do, 2 changes, 1 any error" in typed.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(trimtab: Type, verb: str) -> None:
    typed = trimtab(verb, "--help")
    assert typed.code == 0
    assert "Usage: trimtab" in typed.out
    if verb not in {"token", "data"}:
        assert "--home" in typed.out


def test_help_imports_no_room() -> None:
    code = "import sys; from trimtab.cli.main import run; run(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("sqlalchemy", "duckdb", "pyarrow", "numpy", "starlette", "rich", "jinja2", "trimtab.store"):
        assert f"'{heavy}'" not in done.stderr


def test_the_version_is_the_packages(trimtab: Type) -> None:
    assert trimtab("--version").out == f"trimtab {VERSION}\n"
    text = (SOURCE.parent.parent / "pyproject.toml").read_text("utf-8")
    assert f'\nversion = "{VERSION}"\n' in text


def test_without_a_verb_it_says_how_things_stand_and_what_to_do_next(at_begun: Type) -> None:
    typed = at_begun()
    assert typed.code == 0
    assert typed.out.endswith("Next: trimtab init\n")
    Path("trimtab_project.py").write_text("import trimtab as tt\n")
    assert at_begun("status").out.endswith("Next: trimtab plan\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["paln"], 2, "Did you mean 'plan'?"),
        (["wibble"], 2, "There is no verb 'wibble'"),
        (["up", "--port", "x"], 2, "Invalid value for '--port'"),
        (["get", "--odd"], 2, "No such option"),
        (["plan", "--odd"], 1, "No such option"),
        (["verify", "--odd"], 3, "No such option"),
        (["verify", "a", "b"], 3, "unexpected extra argument"),
        (["approve"], 2, "Missing argument"),
        (["verify", "--checkpoint", "none.txt"], 3, "the checkpoint none.txt cannot be read"),
        (["verify", "none.log"], 3, "none.log cannot be read"),
    ],
)
def test_a_mistake_in_the_command_line_has_its_code(trimtab: Type, words: list[str], code: int, says: str) -> None:
    typed = trimtab(*words)
    assert (typed.code, typed.out) == (code, "")
    assert says in typed.err
    assert "Traceback" not in typed.err
    assert "  next  trimtab" in typed.err or "  next  name" in typed.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan"], "there is no project file"),
        (["plan", "nothing.py"], "there is no project file"),
        (["apply", "nothing.py"], "there is no project file"),
        (["run", "late"], "there is no project file"),
        (["get", "wibbles"], "there is nothing called 'wibbles' to get"),
        (["get", "models", "late"], "there is no model 'late'"),
        (["get", "versions", "late@1"], "late"),
        (["get", "decisions", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "there is no decision"),
        (["get", "sources", "late"], "there is no source"),
        (["get", "views", "late"], "there is no feature view"),
        (["get", "endpoints", "late"], "there is no endpoint"),
        (["get", "events", "7"], "there is no event 7"),
        (["get", "events", "--since", "yesterday"], "is not a time"),
        (["get", "events", "--subject", "x"], "names no subject"),
        (["get", "runs", "--filter", "metrics.auc >"], "filter"),
        (["get", "pipelines", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "there is no pipeline run"),
        (["data", "show", "late"], "there is no source"),
        (["approve", "late@1", "--because", "x"], "there is no model"),
        (["reject", "late@1", "--because", "x"], "there is no model"),
        (["serve", "late"], "late"),
        (["predict", "late"], "it is not clear which row is meant"),
        (["predict", "late", "--example"], "there is no endpoint"),
        (["predict", "late", "distance"], "gives no value"),
        (["why", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "there is no decision"),
        (["logs"], "there is no log of a server"),
        (["logs", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "there is no pipeline run"),
        (["token", "revoke", "late"], "there is no token"),
        (["get", "alerts", "late"], "there is no endpoint"),
        (["token", "create", "a b"], "cannot be the name of a token"),
        (["token", "create", "ci", "--expires", "soon"], "is not a span of time"),
        (["init", "project.txt"], "is not the name of a Python file"),
        (["--clock", "later", "status"], "is not a time"),
        (["status", "--clock", "later"], "is not a time"),
        (["up", "--host", "0.0.0.0", "--port", "0"], "the server would be open to everyone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_four_parts(at_begun: Type, words: list[str], says: str) -> None:
    typed = at_begun(*words)
    assert typed.code == 1
    first, why, next_ = typed.err.strip().splitlines()[-3:]
    assert first.startswith("error: ")
    assert says in first
    assert why.startswith("  why   ")
    assert next_.startswith("  next  ")


def test_options_stand_before_or_after_the_verb(trimtab: Type, tmp_path: Path) -> None:
    for words in (["--home", "one", "doctor", "-o", "json"], ["doctor", "--home", "two", "-o", "json"]):
        typed = trimtab(*words)
        assert typed.code == 1
        assert '"option --home"' in typed.out
        assert f"there is no project in {words[words.index('--home') + 1]}" in typed.out
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_ours_is_told_without_a_stack_trace(at_begun: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    import trimtab.cli.verbs.doctor as doctor

    monkeypatch.setattr(doctor, "_settings", lambda _session: 1 / 0)
    typed = at_begun("doctor")
    assert typed.code == 1
    assert "ZeroDivisionError" in typed.err
    assert "Traceback" not in typed.err
    assert "ZeroDivisionError" in Path(".trimtab/logs/fault.txt").read_text()


def test_no_colour_where_nobody_sees_it(trimtab: Type) -> None:
    assert "\x1b[" not in trimtab("plan").err


def test_completion_is_printed_for_each_shell(trimtab: Type) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_TRIMTAB_COMPLETE" in trimtab("completion", shell).out


def test_completion_knows_verbs_and_options() -> None:
    environment = {"_TRIMTAB_COMPLETE": "bash_complete", "COMP_WORDS": "trimtab pl", "COMP_CWORD": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", "from trimtab.cli import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,plan\n"


def _told_commands() -> list[tuple[str, str, str]]:
    """Every command that a text of the program tells people to type: (file, verb, next word)."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for verb, word in re.findall(r"\btrimtab ([a-z]+)(?: ([a-z-]+))?", node.value):
                    found.append((f"{file.relative_to(SOURCE)}:{node.lineno}", verb, word))
    return found


def test_every_command_that_an_error_tells_exists() -> None:
    texts = {"trimtab as"}
    wrong = []
    for place, verb, word in _told_commands():
        if verb in VERBS:
            plural = word if word in NOUNS or word in OTHER_WORDS else f"{word}s"
            if verb == "get" and word and plural not in NOUNS and plural not in OTHER_WORDS:
                wrong.append(f"{place} trimtab get {word}")
            if verb in {"token", "data"} and word not in {"", "create", "list", "revoke", "show"}:
                wrong.append(f"{place} trimtab {verb} {word}")
        elif f"trimtab {verb}" not in texts:
            wrong.append(f"{place} trimtab {verb} {word}")
    assert wrong == []


def test_a_reader_that_has_seen_enough_ends_it_like_any_other_program(tmp_path: Path) -> None:
    # 0 would say of `verify` that all is intact, 1 that it is not, and nobody found out.
    code = "from trimtab.cli.main import main; main(['get'])"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_no_room_for_the_output_is_told_in_four_parts(tmp_path: Path) -> None:
    code = "from trimtab.cli.main import main; main(['get'])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "fault" not in done.stderr


def test_words_that_are_no_text_are_refused(trimtab: Type) -> None:
    typed = trimtab("why", "\udcff")
    assert typed.code == 1
    assert "is no text" in typed.err


def test_a_fault_of_ours_is_no_proof_of_tampering(trimtab: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("trimtab.cli.verbs.verify.verify_ledger", broken)
    assert trimtab("--home", "here", "verify").code == 2


def test_the_nouns_of_get_are_completed(trimtab: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ShellComplete(main_group, {}, "trimtab", "_TRIMTAB_COMPLETE").get_completions(["get"], "mo")
    assert [item.value for item in found] == ["models"]


def test_nothing_that_is_printed_steers_the_terminal(at_begun: Type) -> None:
    typed = at_begun("get", "models", "a\x1b[2J\x9b1mb")
    assert "there is no model 'a\\x1b[2J\\x9b1mb'" in typed.err
    assert text_of("a\x1b]0;x\x07b\nc") == "a\\x1b]0;x\\x07b\nc"


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "lines"), [(60, 3), (30, 4), (25, 3)])
def test_a_narrow_terminal_breaks_no_id(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = _Terminal()
    with redirect_stdout(shown):
        show_list(
            [("01M8J3ZGBDQRZ4", "first try", 3)],
            [
                Column("RUN", lambda r: r[0]), Column("NAME", lambda r: r[1]),
                Column("STEPS", lambda r: r[2], number=True),
            ],
            form="table",
        )  # fmt: skip
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).rstrip()
    assert "01M8J3ZGBDQRZ4" in text
    assert len(text.splitlines()) == lines
    assert max(len(line.rstrip()) for line in text.splitlines()) <= columns


def test_a_pipe_gets_whole_lines(trimtab: Type) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        show_list(["word " * 200 + "end\nmore"], [Column("WHY", lambda r: r)], form="table")
    assert out.getvalue().splitlines()[-1].endswith("end more")
