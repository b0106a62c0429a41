"""What the commands share: tables that show every text as it is written."""

import pytest

from claimcheck import cli
from claimcheck.cli.options import print_table


@pytest.mark.parametrize("text", ["Does [/b] it work?", "[bold]", "[/]", "[link=x]", "a :smile: b", "\\[", "[#ff0000]"])
def test_a_table_shows_a_text_as_it_is_written(capsys, text):
    print_table(["study", "question"], ["runs"], [("coin", text, text)])
    assert capsys.readouterr().out.splitlines()[1].split("coin")[1].count(text) == 2


def test_list_shows_a_question_as_it_is_written(studies, edit, capsys, monkeypatch):
    edit("coin", lambda raw: raw.update(question="Does [/b] it [bold]work?"))
    monkeypatch.setattr("sys.argv", ["claimcheck", "list", "--studies-dir", str(studies)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "Does [/b] it [bold]work?" in capsys.readouterr().out
