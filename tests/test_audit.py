"""The audit: findings worked out by hand, controls that are recomputed, no alarm on clean rows."""

import csv
import re
import subprocess
import sys
from dataclasses import fields, replace
from fractions import Fraction

import pytest

from benchmark.pins import published
from benchmark.reports import audit
from benchmark.reports.audit import arithmetic, digits, names, order, report, same
from benchmark.reports.audit import sentences as claims
from benchmark.reports.audit.finding import COLUMNS, SEVERITIES
from benchmark.reports.audit.interval import exact, largest, printed, show, smallest
from benchmark.shared.errors import UserError

FOUND, PASSED = audit.findings(), audit.controls()


def pick(check, paper, table, row, items=FOUND):
    hits = [item for item in items if (item.check, item.paper, item.table, item.row) == (check, paper, str(table), str(row))]
    assert len(hits) == 1, (check, paper, table, row, len(hits))
    return hits[0]


# ---- intervals


def test_a_printed_number_is_half_a_digit_wide():
    assert (printed("0.42").low, printed("0.42").high) == (Fraction("0.415"), Fraction("0.425"))
    assert (printed("1").low, printed("1.0").low) == (Fraction("0.5"), Fraction("0.95"))


def test_interval_arithmetic():
    # [1.5, 2.5] and [2.5, 3.5]: sum [4, 6], difference [-2, 0], product [3.75, 8.75], quotient [3/7, 1]
    two, three = printed("2"), printed("3")
    assert ((two + three).low, (two + three).high) == (4, 6)
    assert ((two - three).low, (two - three).high) == (-2, 0)
    assert ((two * three).low, (two * three).high) == (Fraction("3.75"), Fraction("8.75"))
    assert ((two / three).low, (two / three).high) == (Fraction(3, 7), 1)
    assert (largest(two, three).value, smallest(two, three).value) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        two / printed("0")


def test_equal_means_can_be_equal():
    assert printed("93.6").meets(printed("93.59"))
    assert printed("93.5").meets(printed("93.55"))  # 93.545 is in both
    assert not printed("93.5").meets(printed("93.59"))
    assert not printed("98.2").meets(printed("98.3"))  # 98.25 alone, and one number has one print
    assert printed("3.54").meets(exact("3.545")) and printed("3.55").meets(exact("3.545"))  # a half may go either way


def test_show_cuts_zeros():
    assert [show(Fraction(number), 3) for number in ("1.5", "-0.0625", "0", "58.752", "-0.0001")] == ["1.5", "-0.062", "0", "58.752", "0"]


# ---- findings by hand


def test_power_of_pvt_large():
    """spikformer_v2.txt:195: 9.80 G operations x 4.6 pJ = 45.08 mJ; printed 38.340, that is 6.74 less."""
    item = pick("power", "spikformer_v2", 2, 8)
    assert (item.printed, item.expected, item.difference, item.severity) == ("38.340", "45.08", "-6.74", "error")
    assert item.lines == "spikformer_v2.txt:195"


def test_power_with_a_first_layer():
    """spikformer_v2.txt:202: 3.88 G x 0.9 pJ = 3.492 mJ, printed 4.035. The rest of 0.543 mJ is 118.0 M MACs at 4.6 pJ, and
    7 x 7 x 3 x 64 x 112 x 112 = 118,013,952 are those of the first ResNet layer."""
    item = pick("power", "spikformer_v2", 2, 15)
    assert (item.expected, item.difference, item.severity) == ("3.492", "0.543", "inconsistency")
    assert "first ResNet layer" in item.sentence


def test_power_without_an_explanation():
    """spikformer_v2.txt:190: 78.29 G x 0.9 pJ = 70.461 mJ, printed 70.934: 0.473 more, and the first layer would be 0.543 +- 0.005."""
    item = pick("power", "spikformer_v2", 2, 3)
    assert (item.expected, item.difference) == ("70.461", "0.473")
    assert "first ResNet layer" not in item.sentence


def test_energy_of_kdsnn_on_vgg16():
    """tser.txt:238: 170.79 M x 0.9 pJ = 0.153711 mJ, 274.2 M x 4.6 pJ = 1.26132 mJ, together 1.415; printed 1.39."""
    item = pick("energy", "tser", 4, 7)
    assert (item.printed, item.expected, item.difference, item.severity) == ("1.39", "1.415", "-0.025", "error")


def test_energy_cut_instead_of_rounded():
    """tser.txt:237: at the least 159.955 M x 0.9 + 274.15 M x 4.6 = 143.9595 + 1261.09 = 1405.0495 uJ, so never 1.40 by rounding."""
    item = pick("energy", "tser", 4, 6)
    assert (item.printed, item.severity) == ("1.40", "remark")


def test_complexity_of_gelu():
    """ecmt.txt:595: 577 x 6144 = 3,545,088, which rounds to 3.55; printed 3.54."""
    item = pick("complexity", "ecmt", 3, 9)
    assert (item.printed, item.expected, item.severity) == ("3.54", "3.5451", "remark")


def test_formula_of_the_product_of_q_and_k():
    """ecmt.txt:589: 16 x 577 x 88 x 88 = 71,492,608 as printed, but 16 heads of 577 x 577 x 88 are 468,764,032, as for s and v."""
    assert pick("complexity", "ecmt", 3, 3, PASSED).printed == "71.49"
    item = pick("complexity_shape", "ecmt", 3, 3)
    assert (item.expected, item.severity) == ("468.764", "error")


def test_one_network_two_powers():
    """spikformer_v2.txt:212 has 9.855 mJ for Spikformer-8-512 at T=4, line 251 has 11.304 mJ: 1.449 more."""
    item = next(item for item in FOUND if item.check == "same_value" and item.printed == "11.304")
    assert (item.expected, item.difference, item.severity) == ("9.855", "1.449", "error")
    assert item.lines == "spikformer_v2.txt:251 spikformer_v2.txt:212"


def test_full_method_in_two_tables():
    """tser.txt:220 has 78.13 for the full method, line 177 has 78.30 with a spread of 0.08: 0.17 apart."""
    item = pick("same_value", "tser", 3, 5)
    assert (item.printed, item.expected, item.difference, item.severity) == ("78.13", "78.3", "-0.17", "inconsistency")


def test_two_papers_one_network():
    """tser.txt:192 quotes 70.24 for Spikformer-8-384 on ImageNet at T=4, spikformer_v2.txt:210 prints 75.24."""
    item = pick("same_value", "tser", 2, 7)
    assert (item.expected, item.difference, item.severity) == ("75.24", "-5", "inconsistency")


def test_shared_digits_of_two_methods():
    """tser.txt:171-172 and 175-176: 93.64, 73.80, 95.09, 74.99, 95.26, 69.89 and 70.74 stand in both, 7 of 14 entries."""
    shared = [item.printed for item in FOUND if item.check == "copied"]
    assert sorted(shared) == ["69.89", "70.74", "73.80", "74.99", "93.64", "95.09", "95.26"]


def test_claims_by_hand():
    # tser.txt:181: 96.72 - 96.47 (MPBN, row 5) = 0.25, the text says 0.57
    assert pick("claim", "tser", 1, "19 5 15").expected == "0.25"
    # spikformer_v2.txt:344: 95.19 - 93.51 = 1.68, the text says 1.87
    loss = pick("claim", "spikformer_v2", 6, "3 1")
    assert (loss.printed, loss.expected, loss.difference) == ("1.87", "1.68", "0.19")
    # spikformer_v2.txt:228: 51.55 / 78.37 = 0.658, the text says half
    assert pick("claim", "spikformer_v2", 2, "31 19").expected == "0.658"
    # idsnn.txt:198: 71.34 in the text, 71.31 in line 203
    assert pick("claim", "idsnn", 3, "1").difference == "0.03"
    # spikformer_v2.txt:305: 98.2 in the text, 98.3 in line 311
    assert pick("claim", "spikformer_v2", 5, "12").difference == "-0.1"
    # ldd.txt:280: 96.2 for average or last step in the text; 96.5 and 96.4 in line 285
    assert pick("claim", "ldd", 2, "3").printed == "96.2"


def test_a_claim_true_by_rounding_is_no_finding():
    """ecmt.txt:507: 80.77 - 79.40 = 1.37 is 'a drop of 1' when rounded to the printed digit."""
    said = [item for item in PASSED if item.check == "claim" and "ViT-B/16 is 1 point below" in item.sentence]
    assert [item.expected for item in said] == ["1.37"]


# ---- the whole list


def test_enough_findings_and_all_are_complete():
    assert len(FOUND) >= 60
    assert {item.severity for item in FOUND} == set(SEVERITIES) and {item.severity for item in PASSED} == {""}
    for item in FOUND:
        assert item.printed and item.expected and item.lines and item.sentence.endswith("."), item
    assert {item.check for item in FOUND + PASSED} == set(report.CHECKS)
    assert len(set(FOUND)) == len(FOUND)


def test_numeric_findings_have_no_value_in_common_with_what_is_expected():
    """Whatever the check: had the printed digits been able to mean the expected value, it would be no finding."""
    for item in FOUND:
        if item.check in ("energy", "power", "complexity", "complexity_shape", "same_value", "other_teacher"):
            assert abs(Fraction(item.printed) - Fraction(item.expected)) > printed(item.printed).high - Fraction(item.printed), item


def test_every_row_that_can_be_checked_is_checked():
    """As many energies, powers, gains, speed-ups, formulas and claims as the pins have."""
    everything = FOUND + PASSED
    count = lambda check: sum(item.check == check for item in everything)  # noqa: E731
    metrics = [pin.metric for pin in published.numbers()]
    with_ops = {(pin.name, pin.row) for pin in published.numbers() if pin.metric == "ops_G"}
    powers = [pin for pin in published.numbers() if pin.metric == "power_mJ" and (pin.name, pin.row) in with_ops]
    assert count("energy") == metrics.count("energy_mJ") == 10
    assert count("attention_energy") == metrics.count("energy_uJ") == 15
    assert count("gain") == metrics.count("accuracy_gain") == 6
    assert count("speedup") == metrics.count("speedup") == 7
    assert count("complexity") == metrics.count("complexity_M") == 10
    assert count("power") == len(powers) == 37
    papers = {path.parent.name for path in published.tables().values()}
    assert count("claim") == sum(len(claims.read(paper)) for paper in papers) > 100


def _changed(metric, change):
    """The tables with all numbers of one metric changed."""
    return {
        name: tuple(replace(pin, value=f"{change(float(pin.value)):.9f}") if pin.metric == metric else pin for pin in published.read(name))
        for name in published.tables()
    }


def _tenth_too_large(monkeypatch, metric):
    """All numbers of one metric made a tenth too large."""
    tables = _changed(metric, lambda number: number * 1.1)
    monkeypatch.setattr(published, "read", tables.__getitem__)
    monkeypatch.setattr(published, "numbers", lambda: [pin for pins in tables.values() for pin in pins])


@pytest.mark.parametrize(
    ("metric", "check", "kind"),
    [
        ("energy_mJ", "energy", arithmetic),
        ("energy_uJ", "attention_energy", arithmetic),
        ("power_mJ", "power", arithmetic),
        ("accuracy_gain", "gain", arithmetic),
        ("speedup", "speedup", arithmetic),
        ("complexity_M", "complexity", arithmetic),
        ("energy_ratio", "reference", arithmetic),
    ],
)
def test_controls_are_recomputed(monkeypatch, metric, check, kind):
    """A control that passes must fail when its number is a tenth too large."""
    passing = {(item.paper, item.table, item.row) for item in PASSED if item.check == check}
    _tenth_too_large(monkeypatch, metric)
    failing = {(item.paper, item.table, item.row) for item in kind.checks() if item.check == check and item.status == "finding"}
    assert passing and passing <= failing


def test_claims_are_recomputed(monkeypatch):
    """With every accuracy moved down by 7 points, no sentence that names an accuracy still passes."""
    tables = _changed("accuracy", lambda number: number - 7)
    monkeypatch.setattr(published, "read", tables.__getitem__)
    values = [
        claim
        for paper in ("idsnn", "ldd", "ecmt", "spikformer_v2")
        for claim in claims.read(paper)
        if re.fullmatch(r"[\d.]+ == \[[^\]]*\]", claim.relation) and not any(metric in claim.relation for metric in published.METRICS)
    ]
    assert len(values) > 10 and all(claims.check(claim).status == "finding" for claim in values)


@pytest.mark.parametrize("paper", sorted({path.parent.name for path in published.tables().values()}))
def test_every_claim_is_evaluated(paper):
    for claim in claims.read(paper):
        item = claims.check(claim)
        assert claim.relation and item.row and all(part.isdigit() for part in claim.line.split()), claim
        assert item.status == "ok" or claim.note, f"a failing claim says what the tables have: {claim.claim}"


# ---- clean tables


def _pin(**changes):
    base = dict.fromkeys((field.name for field in fields(published.Number)), "-")
    base |= {
        "paper": "clean",
        "table": 1,
        "row": 1,
        "metric": "accuracy",
        "value": "90.12",
        "dataset": "CIFAR10",
        "time_steps": "4",
        "cell": "direct:net-4-384",
        "options": "",
        "source": "clean.txt:1",
        "origin": "measured",
        "method": "Net",
        "backbone": "Net-4-384",
    }
    return published.Number(**(base | changes))


CLEAN = (  # 100.0 M x 0.9 pJ + 10.0 M x 4.6 pJ = 0.136 mJ; 2.00 G x 0.9 pJ = 1.8 mJ; 88.70 - 89.00 = -0.30
    _pin(),
    _pin(metric="ops_G", value="2.00"),
    _pin(metric="power_mJ", value="1.80"),
    _pin(metric="params_M", value="9.32"),
    _pin(metric="acs_M", value="100.0"),
    _pin(metric="macs_M", value="10.0"),
    _pin(metric="energy_mJ", value="0.14"),
    _pin(metric="firing_rate_pct", value="10.0"),
    _pin(row=2, time_steps="6", value="90.4"),
    _pin(row=3, method="baseline", cell="direct:other-4-384", value="89.00"),
    _pin(row=4, options="attention=relu", value="88.70"),
    _pin(row=4, options="attention=relu", metric="accuracy_gain", value="-0.30"),
)


@pytest.fixture
def clean(monkeypatch):
    def use(pins):
        monkeypatch.setattr(published, "tables", lambda: {"table1_clean": None})
        monkeypatch.setattr(published, "read", lambda name: pins)
        monkeypatch.setattr(published, "numbers", lambda: list(pins))
        return [item for module in (arithmetic, same, digits, order, names) for item in module.checks()]

    return use


def test_no_alarm_on_clean_rows(clean):
    items = clean(CLEAN)
    assert items and [item.sentence for item in items if item.status == "finding"] == []
    assert {"energy", "power", "gain", "full_method", "more_steps", "row_twice", "size_in_name"} <= {item.check for item in items}


@pytest.mark.parametrize(
    ("value", "status"), [("1.80", "ok"), ("1.8", "ok"), ("2", "ok"), ("1.796", "ok"), ("1.79", "finding"), ("1.81", "finding")]
)
def test_rounding_decides(clean, value, status):
    """1.995..2.005 G x 0.9 pJ = 1.7955..1.8045 mJ. 1.796 reaches up to 1.7965; 1.79 only to 1.795, and 1.81 starts at 1.805."""
    pins = (_pin(metric="ops_G", value="2.00"), _pin(metric="power_mJ", value=value))
    assert [item.status for item in clean(pins) if item.check == "power"] == [status]


def test_a_repeated_row_and_a_fall_with_steps_are_found(clean):
    pins = (_pin(), _pin(row=2), _pin(row=3, time_steps="6", value="89.00"))
    assert {(item.check, item.row) for item in clean(pins) if item.status == "finding"} == {("row_twice", "2"), ("more_steps", "3")}


def test_steps_not_printed_may_be_any_of_the_printed(clean):
    pins = (_pin(), _pin(row=2, time_steps="6", value="91.00"), _pin(row=3, time_steps="-", value="91.0"))
    assert [item.status for item in clean(pins) if item.check == "same_value"] == ["ok"]


# ---- the language of claims


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("0.62 == [t1 r8 T4] - [t1 r1 T4]", True),
        ("0.60 == [t1 r8 T4] - [t1 r1 T4]", False),
        ("0.6 == [t1 r8 T4] - [t1 r1 T4]", True),
        ("[t1 r9] > [t1 r8 T4]", True),
        ("[t1 r9] < [t1 r8 T4]", False),
        ("steps([t1 r9]) == exact(6)", True),
        ('named([t2 r1], "[31]")', True),
        ("max([t1 r4], [t1 r5]) >= min([t1 r4], [t1 r5])", True),
        ("1 == 2 or 2 == 2", True),
        ("2 == 2 and 1 == 3", False),
        ("[tser t1 r10 R-34 CIFAR10 T1] > [t1 r8 accuracy_ann]", True),
    ],
)
def test_relations(relation, holds):
    assert claims.evaluate(relation, "idsnn")[0].holds is holds


@pytest.mark.parametrize(
    "relation", ["[t1 r1 r2] > 1", "[t1] == 1", "__import__('os')", "[t1 r9] ** 2 > 1", "open == 1", "[r9] > 1", "1 <"]
)
def test_what_is_no_relation_is_refused(relation):
    with pytest.raises(UserError):
        claims.evaluate(relation, "idsnn")


# ---- output


def test_files(tmp_path):
    audit.write(tmp_path / "results" / "audit.csv", tmp_path / "results" / "audit.md")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["audit.csv", "audit.md"]  # no temporary name left
    with (tmp_path / "results" / "audit.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert [line["status"] for line in lines].count("finding") == len(FOUND) and len(lines) == len(FOUND) + len(PASSED)
    text = (tmp_path / "results" / "audit.md").read_text()
    assert text.startswith("# ") and all(item.sentence.replace("|", "/") in text for item in FOUND)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "audit.csv"
    target.write_text("old")
    monkeypatch.setattr(report, "_write_csv", lambda file: file.write("half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        audit.write(target, tmp_path / "audit.md")
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["audit.csv"]


def test_ten_most_important():
    ten = audit.ten_most_important()
    ranks = [SEVERITIES.index(item.severity) for item in ten]
    assert len(ten) == 10 and ranks == sorted(ranks)
    assert max(sum(item.paper == paper for item in ten) for paper in {item.paper for item in ten}) <= 3


def test_order_is_fixed_and_import_is_light():
    code = (
        "import sys, time; start = time.perf_counter(); from benchmark.reports import audit; took = time.perf_counter() - start\n"
        "import hashlib; text = repr(audit.findings() + audit.controls())\n"
        "print(hashlib.sha256(text.encode()).hexdigest(), took < 1, [m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=published.PAPERS.parents[1],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and runs[0].split(maxsplit=1)[1].strip() == "True []"
