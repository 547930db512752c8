"""Tables for one's own paper: what stands where, what is bold, what LaTeX must not read as a command."""

import csv
import io
import re

import pytest
import yaml

from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.reports import export
from benchmark.runs import lines, structures
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main
from tests import made

TABLE = "table3_tser"
PAPER = settings({"scale": "paper", "seeds": 2})


@pytest.fixture
def root(tmp_path):
    """Two seeds of every row but the second: the full method ahead of the first and the third, not of the fourth."""
    for line, accuracies in zip(lines.of_table(TABLE, PAPER), [(76.0, 76.2), (), (77.0, 77.1), (79.0, 79.2), (78.0, 78.2)], strict=True):
        for run, value in zip(line.runs, accuracies, strict=False):
            made.accuracy(tmp_path, run, value)
    return tmp_path


def ahead(root):
    """The full method ahead of all rows that ran."""
    for run, value in zip(lines.of_table(TABLE, PAPER)[4].runs, (80.0, 80.2), strict=True):
        made.accuracy(root, run, value)
    return root


def body(text):
    """Cells of a tabular's lines behind the first rule inside it."""
    found = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\"))] for line in found.splitlines() if "&" in line]


def test_latex_has_the_printed_rows_beside_ours(root):
    text = export.exported(TABLE, "latex", PAPER, root)
    cells = body(re.sub(r"\\textbf\{(.*?)\}", r"\1", text))
    assert [line[5] for line in cells] == [number.value for number in published.read(TABLE)]
    assert [line[6] for line in cells] == [f"{mean}\\,$\\pm$\\,{spread}" if mean else "" for mean, spread in (
        ("76.10", "0.14"), ("", ""), ("77.05", "0.07"), ("79.10", "0.14"), ("78.10", "0.14"),
    )]  # fmt: skip
    assert cells[1][:3] == ["TSER", "entropy=0 ts\\_kl=0", "-"]
    rules = re.findall(r"\\(toprule|midrule|bottomrule)", text)
    assert (
        rules[0] == "toprule"
        and rules[-1] == "bottomrule"
        and text.count("\\begin{tabular}{lllllrrl}") == text.count("\\end{tabular}") == 1
    )
    heads = text.partition("\\toprule\n")[2].splitlines()[0]
    assert heads.count("&") == 7 and all(len(line) == 8 for line in cells)


def test_a_rule_stands_between_the_printed_groups(tmp_path):
    text = export.exported("table1_ldd", "latex", PAPER, tmp_path)
    groups = [line.first.group for line in lines.of_table("table1_ldd", PAPER)]
    assert text.count("\\midrule") == 1 + sum(one != other for one, other in zip(groups, groups[1:], strict=False))


def test_bold_is_what_every_claim_bears_out(root):
    """Rows 3 and 4 lead their claims by sentences; the full method is contradicted by row 4 until it is ahead of it."""
    bold = [["textbf" in cell for cell in line[5:7]] for line in body(export.exported(TABLE, "latex", PAPER, root))]
    assert bold == [[False, False]] * 2 + [[False, True]] * 2 + [[False, False]]
    bold = [["textbf" in cell for cell in line[5:7]] for line in body(export.exported(TABLE, "latex", PAPER, ahead(root)))]
    assert bold == [[False, False]] * 2 + [[False, True]] * 3
    assert "| **80.10 ± 0.14** " in export.exported(TABLE, "markdown", PAPER, root)


def test_one_seed_is_never_bold(tmp_path):
    one = settings({"scale": "paper"})
    for line, value in zip(lines.of_table(TABLE, one), (70.0, 71.0, 72.0, 73.0, 90.0), strict=True):
        made.accuracy(tmp_path, line.runs[0], value)
    text = export.exported(TABLE, "latex", one, tmp_path)
    assert "textbf" not in text and "90.00 " in text and "pm" not in text


def test_spreads_as_printed(tmp_path):
    """A printed spread stands behind its number."""
    numbers = published.read("table1_tser")
    spread = next(number for number in numbers if number.metric == "accuracy_std")
    value = next(
        n
        for n in numbers
        if n.metric == "accuracy"
        and (n.row, n.dataset, n.time_steps, n.cell) == (spread.row, spread.dataset, spread.time_steps, spread.cell)
    )
    assert f"{value.value}\\,$\\pm$\\,{spread.value}" in export.exported("table1_tser", "latex", PAPER, tmp_path)


def test_csv_reads_back(root):
    found = list(csv.DictReader(io.StringIO(export.exported(TABLE, "csv", PAPER, root))))
    assert [line["accuracy printed"] for line in found] == [number.value for number in published.read(TABLE)]
    assert found[0]["accuracy obtained"] == "76.10 ± 0.14" and found[1]["accuracy obtained"] == ""


@pytest.mark.parametrize("table", published.tables())
@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_every_table_can_be_exported(table, form, tmp_path):
    text = export.exported(table, form, PAPER, tmp_path)
    separated = len(re.findall(r"(?<!\\)&", text)) if form == "latex" else text.count("|")
    rows = len(lines.of_table(table, PAPER))
    assert separated % (rows + (1 if form == "latex" else 2)) == 0 and separated
    assert all(number.value in text for number in published.read(table))
    assert form != "latex" or not re.search(r"(?<!\\)[#_%]", text.partition("\n")[2])


def test_bibtex_has_all_papers_with_balanced_braces(tmp_path):
    text = export.exported(TABLE, "bibtex", PAPER, tmp_path)
    keys = re.findall(r"^@misc\{(\w+),$", text, re.MULTILINE)
    assert keys == list(dict.fromkeys(number.paper for number in published.numbers())) and len(keys) == 5
    assert text.count("{") == text.count("}")
    assert "author = {Kairong Yu and Chengting Yu and" in text and re.findall(r"year = \{(\d+)\}", text) == [
        "2024",
        "2023",
        "2024",
        "2024",
        "2025",
    ]


def test_what_latex_would_read_is_escaped():
    assert (
        export.escaped("50% of A_1 & {x}^2 ~ #3 $5 \\n")
        == r"50\% of A\_1 \& \{x\}\textasciicircum{}2 \textasciitilde{} \#3 \$5 \textbackslash{}n"
    )


def test_the_command(tmp_path, capsys):
    assert main(["export", TABLE, "--format", "csv", "--directory", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("Method,Options,Backbone,Data set,T,accuracy printed,accuracy obtained,Obtained on\n")
    assert main(["export", TABLE, "--format", "latx", "--directory", str(tmp_path)]) == 2
    assert "did you mean latex?" in capsys.readouterr().err
    with pytest.raises(UserError, match="table3_tser"):
        export.exported("table3_tse", "csv", PAPER, tmp_path)


# ---- a model card's metadata


def test_the_model_index_is_what_hugging_face_reads(root):
    """Its own reader takes it; the data set is the one that ran; the printed value and why the two are not compared stand beside."""
    from huggingface_hub.repocard_data import model_index_to_eval_results

    index = yaml.safe_load(export.exported(TABLE, "model-index", PAPER, root))["model-index"]
    assert [model["name"] for model in index] == [
        f"{line.first.method} {line.first.backbone} {line.first.options}".replace(" - ", " ").strip()
        for line in lines.of_table(TABLE, PAPER)
        if line.runs and (root / line.runs[0].folder).exists()
    ]
    for model in index:
        ((result,),) = ([each for each in model_index_to_eval_results([model])[1] if each.metric_type == "accuracy"],)
        assert result.dataset_name == "CIFAR100" and result.task_type == "image-classification" and result.verified is False
    first = index[0]["results"][0]
    assert first["metrics"][0]["value"] == 76.1 and first["metrics"][0]["args"]["printed"] == published.read(TABLE)[0].value
    assert first["source"]["name"].endswith("Table 3, row 1") and first["source"]["url"].startswith("https://")


def test_a_stand_in_is_named_in_the_model_index(tmp_path):
    chosen = settings()
    made.accuracy(tmp_path, lines.of_table(TABLE, chosen)[0].runs[0], 20.0)
    ((model,),) = (yaml.safe_load(export.exported(TABLE, "model-index", chosen, tmp_path))["model-index"],)
    assert model["name"].endswith("(twin)") and model["results"][0]["dataset"]["name"] == "digit-pairs"
    assert model["results"][0]["dataset"]["args"] == {"printed": "CIFAR100"}
    assert model["results"][0]["metrics"][0]["args"]["verdict"] == "not comparable"


def test_a_twin_has_no_paper_size_in_the_model_index(tmp_path):
    """What is counted at paper size is nothing that the twin of the card has."""
    chosen = settings()
    line = next(line for line in lines.of_table("table2_ecmt", chosen) if line.runs and {n.metric for n in line.numbers} > {"params_M"})
    made.accuracy(tmp_path, line.runs[0], 20.0)
    made.structure(tmp_path, structures.path(line.resolved.cell.backbone, line.first.dataset))
    (model,) = yaml.safe_load(export.exported("table2_ecmt", "model-index", chosen, tmp_path))["model-index"][:1]
    assert [metric["type"] for metric in model["results"][0]["metrics"]] == ["accuracy"]


def test_a_model_index_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="no line of table3_tser has a finished run yet"):
        export.exported(TABLE, "model-index", PAPER, tmp_path)
