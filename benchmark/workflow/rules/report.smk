# One page to look at, made anew whenever a run has come or gone: it trains nothing, what has not run is shown as not run.
PAGE = code.ROOT / "benchmark/reports/page"
FRAMES = sorted({run.resolved.spec["data"]["name"] for run in RUNS.values() if stands_for_events(run.resolved.spec["data"])})


rule frames:
    output:
        report("results/frames/{dataset}.png", caption="../captions/frames.rst", category="Figures", labels={"figure": "{dataset}"}),
    log:
        "logs/frames/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(FRAMES),
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        code=lambda wildcards: code.of_closure(code.ROOT / kinds.dataset(wildcards.dataset)[1].file),
    shell:
        "tell {log:q} python -m benchmark draw {wildcards.dataset} --out {output:q}"


rule report:
    input:
        list(map(str, published.tables().values())),
        frames=expand("results/frames/{dataset}.png", dataset=FRAMES),
    output:
        page=report("results/report.html", caption="../captions/page.rst", category="Page", labels={"page": "everything"}),
        figures=report(
            directory("results/figures"),
            patterns=["{figure}.svg"],
            caption="../captions/drawn.rst",
            category="Page",
            labels={"page": "{figure}"},
        ),
    log:
        "logs/report.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
        done=lambda wildcards: [str(folder) for folder, run in RUNS.items() if run.state(Path()) == "done"],
        counted=lambda wildcards: sorted(map(str, Path("structures").glob("*/*.json"))),
        code=f"{code.of_closure(PAGE / '__init__.py')} {READERS}",
        looks=cells.digest("".join(path.read_text("utf-8") for path in sorted(PAGE.iterdir()) if path.suffix in (".j2", ".js", ".css"))),
        config=CONFIG,
    shell:
        "tell {log:q} python -m benchmark report --directory . --config {params.config:q}"
