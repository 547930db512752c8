"""What is said of a paper's claims in plain words follows from the lines, and names what could not be told."""

from benchmark.reports import told

LINE = {
    "paper": "tser", "dataset": "CIFAR100", "a_method": "TSER", "b_method": "KD", "a_backbone": "R-18", "a_options": "", "b_options": "-",
    "printed_difference": "0.98", "data": "CIFAR100", "differs": "mini twin; 10000 of 50000 training images; A: tau 2 for 3", "n_seeds": 3,
    "difference": 1.2, "verdict": "supported", "q": 0.04, "resolves": 0.8,
}  # fmt: skip


def test_a_paragraph_for_each_paper_that_has_runs():
    other = {**LINE, "b_options": "entropy=0", "difference": -0.1, "verdict": "undecided", "q": 0.7, "resolves": 2.3}
    against = {**LINE, "paper": "ldd", "difference": -3.0, "verdict": "contradicted", "q": 0.2, "n_seeds": 2, "a_backbone": "-"}
    waiting = {**LINE, "paper": "ecmt", "difference": None, "verdict": "not run"}
    first, second = told.paragraphs([LINE, other, against, waiting]).split("\n\n")
    assert first == (
        "**tser**: 2 claims have runs on both sides (CIFAR100, mini twin, 10000 of 50000 training images, 3 seeds). "
        "1 supported, 1 of them with all that were asked at once taken in: TSER above KD on R-18, CIFAR100 (printed +0.98, obtained +1.20). "
        "1 cannot be told (a difference would have had to be 2.3 to 2.3 points): "
        "TSER above KD [entropy=0] on R-18, CIFAR100 (printed +0.98, obtained -0.10)."
    )
    assert "1 contradicted, 0 of them" in second and "on CIFAR100 (" in second and "cannot be told" not in second


def test_what_one_side_alone_ran_otherwise_is_not_the_scope_of_all():
    assert "tau" not in told.scope([LINE]) and "mini twin" not in told.scope([LINE, {**LINE, "differs": "twin"}])
    assert told.smallest([{**LINE, "resolves": None}]) == " (one seed has no interval)"


def test_two_rows_of_one_name_are_told_apart():
    same = {**LINE, "b_method": "TSER", "a_row": 17, "b_row": 12}
    assert told.pair(same).startswith("TSER (row 17) above TSER (row 12) on R-18")
    assert "row" not in told.pair(LINE)
