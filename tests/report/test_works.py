"""References: one file, one style, linked from every text that cites or names a work; sources in words go on working."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.report import convert, text, works
from claimcheck.report.gather import gather
from claimcheck.spec import references
from claimcheck.spec.reading import load_study, study_names

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(project: Path) -> str:
    return (project / "reports/quick/report.html").read_text(encoding="utf-8")


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def test_a_work_cited_by_key_is_set_in_one_style_and_linked_to_the_list(source: str) -> None:
    said = source[source.index("As <span") :].partition("</p>")[0]
    assert plain(said) == "As Gauss (1809) says (see Laplace 1812, chap. 2), write to a@b."
    assert re.findall(r'href="(#[^"]+)"', said) == ["#ref-gauss1809theoria", "#ref-laplace1812theorie"]
    listed = source[source.index('id="references"') :]
    assert plain(listed.partition('id="ref-gauss1809theoria"')[2].partition("</li>")[0]).endswith(
        "Gauss, Carl Friedrich. 1809. Theoria Motus."
    )


def test_the_list_has_each_work_once_and_sources_in_words_after_them(source: str) -> None:
    listed = plain(source[source.index('id="references"') :])
    assert listed.count("Laplace") == 1, "cited by key and given in words with the DOI of the file's entry"
    assert "A letter to Olbers, 1802." in listed
    assert "Never cited" not in listed
    assert re.findall(r'id="ref-(\w+)"', source) == ["gauss1809theoria", "laplace1812theorie"]


def test_a_text_that_names_author_and_year_leads_to_the_list(source: str) -> None:
    assert len(re.findall(r'<a\s+href="#ref-gauss1809theoria"[^>]*>Gauss\s+1809</a>', source)) == 2, "in card and table"


def test_beside_a_value_of_another_quantity_nothing_stands_as_measured(source: str) -> None:
    beside = plain(source.split("Beside published and theoretical values")[1])
    assert re.search(r"tosses of a die\s*–\s*3\.5\s*counted", beside)
    assert re.search(r"expected\s*[−\d.]+ \[.*?\] nats\s*0\s*Gauss", beside)


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    path = tmp_path_factory.mktemp("works") / references.BIBLIOGRAPHY
    people = {
        "he2016deep": "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing",
        "he2016identity": "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing",
        "wu2018group": "Wu, Yuxin and He, Kaiming",
        "smith2017cyclical": "Smith, Leslie N.",
    }
    said = [f"@misc{{{key},author={{{names}}},title={{T}},year={{{key[-10:]}}}}}" for key, names in people.items()]
    years = [
        re.sub(r"year=\{.*?\}", f"year={{{re.search('[0-9]{4}', key)[0]}}}", one) for key, one in zip(people, said)
    ]
    path.write_text("\n".join(years), encoding="utf-8")
    return convert.bibliography(path)


def test_names_are_those_of_one_work_alone(entries: list[dict]) -> None:
    named = works._names(entries)
    assert named["Wu & He 2018"] == named["Wu and He (2018)"] == "wu2018group"
    assert named["Smith, 2017"] == "smith2017cyclical"
    assert not [name for name in named if "et al. 2016" in name], "there are two"
    links = works.Works(("wu2018group",), (), named).links()
    assert text.citation("Wu & He 2018, table 2; not Mc-Smith 2017b", links) == (
        "[Wu \\& He 2018](#ref-wu2018group)\\, table 2\\; not Mc\\-Smith 2017b"
    )


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("Hastie 2022, Surprises in high-dimensional ridgeless least squares interpolation.", True),
        ("Hastie 2022, Surprises in high-dimensional ridgeless least squares", True),
        ("Hastie 2019, Surprises in high-dimensional ridgeless least squares interpolation.", False),
        ("Hastie 2022, Surprises.", False),
    ],
)
def test_a_source_in_words_is_known_by_its_title_and_year(line: str, same: bool) -> None:
    title = "Surprises in High-Dimensional Ridgeless Least Squares Interpolation"
    assert works._is({"title": title, "issued": {"date-parts": [[2022]]}}, line) is same


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("@misc{He2016,\n}", "is not a key; found 'He2016'"),
        ("@misc{he2016deep,\n}\n@misc{he2016deep,\n}", "a key is given twice; found 'he2016deep'"),
    ],
)
def test_a_bad_key_in_the_file_is_one_line(tmp_path: Path, entry: str, fault: str) -> None:
    (tmp_path / references.BIBLIOGRAPHY).write_text(entry, encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=re.escape(fault)):
        references.keys(tmp_path)


def test_a_file_that_is_not_bibtex_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / references.BIBLIOGRAPHY
    path.write_text("@misc{he2016deep, title = {Open", encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=r"references\.bib: is not BibTeX") as caught:
        convert.bibliography(path)
    assert "\n" not in str(caught.value)


def test_citations_render_and_every_other_word_after_an_at_is_text() -> None:
    assert text.inline("a@b, @c, [@he2016deep, table_2; see -@he2016identity] or @he2016deep") == (
        "a\\@b\\, \\@c\\, [@he2016deep, table\\_2; see -@he2016identity] or @he2016deep"
    )


def test_the_studies_cite_by_key_and_every_entry_is_cited(find: Callable) -> None:
    config, results = find(REPOSITORY, "smoke")
    listed = works.listed(gather(config, results), config.studies_dir)
    studies = [load_study(config.studies_dir, name) for name in study_names(config.studies_dir)]
    assert set(listed.keys) == set(references.keys(config.studies_dir))
    assert listed.plain == (), "works in words, in another style than the rest of the list"
    assert len(listed.keys) > 40
    assert sum(bool(study.references) for study in studies) >= 8
