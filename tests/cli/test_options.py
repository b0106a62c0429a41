"""What the commands share: tables that show every text as it is written."""

import pytest

from claimcheck.cli.options import print_table


@pytest.mark.parametrize("text", ["Does [/b] it work?", "[bold]", "[/]", "[link=x]", "a :smile: b", "\\[", "[#ff0000]"])
def test_a_table_shows_a_text_as_it_is_written(capsys, text):
    print_table(["study", "question"], ["runs"], [("coin", text, text)])
    assert capsys.readouterr().out.splitlines()[1].split("coin")[1].count(text) == 2


def test_list_shows_a_question_as_it_is_written(command, edit):
    edit("coin", lambda raw: raw.update(question="Does [/b] it [bold]work?"))
    status, output, _ = command("list")
    assert status == 0
    assert "Does [/b] it [bold]work?" in output
