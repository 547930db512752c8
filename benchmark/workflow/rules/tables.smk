# Tables, figures, claims, the joined pins and the audit: rules that never load torch.
from benchmark.reports import claims as claiming

REPORTS = {
    name: code.of_closure(code.ROOT / f"benchmark/reports/{name}.py")
    for name in ("tables", "figures", "claims", "implemented", "obtained", "reference", "audit/__init__")
}
LEARNED = [name for name in references.names() if references.pictured(name)]  # pre-trainings, of which there are pictures
READERS = cells.digest("".join(code.of_closure(path) for kind in ("convention", "metric") for path in kinds.files(kind).values()))


rule table:
    input:
        lambda wildcards: behind(wildcards.table),
    output:
        csv=report("results/{table}.csv", caption="../captions/table.rst", category="Tables", labels={"table": "{table}"}),
        md="results/{table}.md",
        meta="results/{table}.meta.json",
    log:
        "logs/{table}.log",
    wildcard_constraints:
        table=r"(?!(?:published|audit|coverage|structure|claims|obtained|disagreements)\.|figure)[^/.]+(\.[^/.]+)?",  # any other name, so that a misspelt one is told its neighbours
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.read, wildcards.table))),
        code=f"{REPORTS['tables']} {READERS}",
        config=CONFIG,
    shell:
        "tell {log:q} python -m benchmark table {wildcards.table} --directory . --config {params.config:q}"


rule figure:
    input:
        lambda wildcards: [str(path) for path in told(figures.inputs, wildcards.figure, SETTINGS)],
    output:
        csv=report("results/{figure}.csv", caption="../captions/figure.rst", category="Figures", labels={"figure": "{figure}"}),
        meta="results/{figure}.meta.json",
    log:
        "logs/{figure}.log",
    wildcard_constraints:
        figure="figure[^/.]*",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.read, wildcards.figure))),
        code=f"{REPORTS['figures']} {READERS}",
        config=CONFIG,
    shell:
        "tell {log:q} python -m benchmark table {wildcards.figure} --directory . --config {params.config:q}"


rule picture:
    input:
        lambda wildcards: str(figures.picture(wildcards.figure, SETTINGS)),
    output:
        report("results/{figure}.png", caption="../captions/picture.rst", category="Figures", labels={"figure": "{figure}, the picture"}),
    log:
        "logs/{figure}.png.log",
    wildcard_constraints:
        figure=one_of(name for name in DRAWN if figures.picture(name, SETTINGS)),
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    shell:
        "cp {input:q} {output:q} 2> {log:q}"


rule claims:
    input:
        lambda wildcards: [str(folder / "metrics.json") for folder in told(claiming.runs, SETTINGS)],
    output:
        csv=report("results/claims.csv", caption="../captions/claims.rst", category="Claims", labels={"table": "claims"}),
        md="results/claims.md",
    log:
        "logs/claims.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        claims=lambda wildcards: cells.digest(repr(told(claiming.described_all, SETTINGS))),
        code=f"{REPORTS['claims']} {READERS}",
        config=CONFIG,
    shell:
        "tell {log:q} python -m benchmark claims --directory . --config {params.config:q}"


rule reference:
    input:
        lambda wildcards: [str(path) for path in told(references.inputs, wildcards.reference)],
    output:
        csv=report(
            "results/reference/{reference}.csv", caption="../captions/reference.rst", category="Reference", labels={"table": "{reference}"}
        ),
        md="results/reference/{reference}.md",
        meta="results/reference/{reference}.meta.json",
    log:
        "logs/reference_{reference}.log",
    wildcard_constraints:
        reference=rf"(?!(?:{one_of(LEARNED)})\.)[^/.]+",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        code=f"{REPORTS['reference']} {READERS}",
    shell:
        "tell {log:q} python -m benchmark reference {wildcards.reference}"


use rule reference as reference_pictured with:
    output:
        csv=report(
            "results/reference/{reference}.csv", caption="../captions/reference.rst", category="Reference", labels={"table": "{reference}"}
        ),
        md="results/reference/{reference}.md",
        meta="results/reference/{reference}.meta.json",
        png=report(
            "results/reference/{reference}.png",
            caption="../captions/picture.rst",
            category="Reference",
            labels={"table": "{reference}, the picture"},
        ),
    wildcard_constraints:
        reference=one_of(LEARNED),


rule published:
    input:
        list(map(str, published.tables().values())),
    output:
        report("results/published.csv", caption="../captions/published.rst", category="Tables", labels={"table": "published"}),
    log:
        "logs/published.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
    shell:
        "tell {log:q} python -m benchmark published --out {output:q}"


rule audit:
    input:
        list(map(str, published.tables().values())),
    output:
        csv=report("results/audit.csv", caption="../captions/audit.rst", category="Audit", labels={"table": "audit"}),
        md=report("results/audit.md", caption="../captions/audit.rst", category="Audit", labels={"table": "audit, in words"}),
    log:
        "logs/audit.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
        code=REPORTS["audit/__init__"],
    shell:
        "tell {log:q} python -m benchmark audit --out {output.csv:q}"


rule coverage:
    input:
        list(map(str, published.tables().values())),
    output:
        report("results/coverage.csv", caption="../captions/coverage.rst", category="Coverage", labels={"table": "coverage"}),
    log:
        "logs/coverage.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
        done=lambda wildcards: [str(folder) for folder, run in RUNS.items() if run.state(Path()) == "done"],
        code=f"{REPORTS['implemented']} {READERS}",
    shell:
        "tell {log:q} python -m benchmark coverage --out {output:q}"


rule obtained:
    input:
        list(map(str, published.tables().values())),
    output:
        obtained=report("results/obtained.csv", caption="../captions/obtained.rst", category="Tables", labels={"table": "obtained"}),
        disagreements=report(
            "results/disagreements.csv", caption="../captions/obtained.rst", category="Tables", labels={"table": "disagreements"}
        ),
    log:
        "logs/obtained.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
        done=lambda wildcards: [str(folder) for folder, run in RUNS.items() if run.state(Path()) == "done"],
        counted=lambda wildcards: sorted(map(str, Path("structures").glob("*/*.json"))),
        code=f"{REPORTS['obtained']} {READERS}",
        config=CONFIG,
    shell:
        "tell {log:q} python -m benchmark obtained --directory . --config {params.config:q}"
