"""A run keeps what its program prints, in order, and the program still shows it."""

import logging
import sys

from trimtab.tracking import (
    find_artifact,
    read_console,
)

say = print  # a user's script prints; ours does not


def test_output_is_kept_in_order_and_still_shown(sqlite_store, record, capsys):
    with record(capture=("console",)) as run:
        say("to the screen")
        say("and to the other", file=sys.stderr)
        with record(name="child", capture=("console",), parent=run.id) as child:
            say("from the child")
            sys.stdout.writelines(["one\n", "two\n"])
            assert sys.stdout.isatty() in (True, False)
    say("afterwards")
    shown = capsys.readouterr()
    assert shown.out == "to the screen\nfrom the child\none\ntwo\nafterwards\n"
    assert shown.err == "and to the other\n"
    assert read_console(sqlite_store, run.id) == "to the screen\nand to the other\nfrom the child\none\ntwo\n"
    assert read_console(sqlite_store, child.id) == "from the child\none\ntwo\n"
    assert find_artifact(sqlite_store, run.id, "console.txt").media_type == "text/plain"


def test_endless_output_is_cut_with_a_note(sqlite_store, record, capsys, monkeypatch):
    monkeypatch.setattr("trimtab.tracking.console.LIMIT", 100)
    with record(capture=("console",)) as run:
        for _ in range(50):
            say("0123456789")
    text = read_console(sqlite_store, run.id)
    assert text.startswith("0123456789\n0123456789\n")
    assert text.endswith("[only the first 100 characters are kept]\n")
    assert len(text) < 200


def test_logging_keeps_working_when_a_handler_holds_the_stream(record, capsys):
    with record(capture=("console",)):
        handler = logging.StreamHandler(sys.stderr)
        logger = logging.getLogger("test.tracking")
        logger.addHandler(handler)
    logger.warning("after the run")
    logger.removeHandler(handler)
    assert "after the run" in capsys.readouterr().err
