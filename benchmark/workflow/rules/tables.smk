# Tables, figures, claims, the joined pins and the audit: rules that never load torch.
from benchmark.reports import claims as claiming
from benchmark.reports import claim_verdicts as evidence


rule table:
    input:
        runs_of,
    output:
        csv="results/{table}.csv",
        md="results/{table}.md",
        meta="results/{table}.meta.json",
    log:
        "logs/{table}.log",
    wildcard_constraints:
        table=r"(?!(?:published|audit|coverage|structure|claims)\.|figure)[^/.]+",  # any other name, so that a misspelt one is told its neighbours
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.read, wildcards.table))),
        config=CONFIG,
    shell:
        "python -m benchmark table {wildcards.table} --directory . --config {params.config:q} 2> {log:q}"


rule figure:
    input:
        points_of,
    output:
        csv="results/{figure}.csv",
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
        config=CONFIG,
    shell:
        "python -m benchmark table {wildcards.figure} --directory . --config {params.config:q} 2> {log:q}"


rule claims:
    input:
        lambda wildcards: [str(folder / "metrics.json") for folder in told(claiming.runs, SETTINGS)],
    output:
        csv="results/claims.csv",
        md="results/claims.md",
    log:
        "logs/claims.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        claims=lambda wildcards: cells.digest(repr([evidence.described(claim) for claim in told(claiming.claims, SETTINGS)])),
        config=CONFIG,
    shell:
        "python -m benchmark claims --directory . --config {params.config:q} 2> {log:q}"


rule published:
    output:
        "results/published.csv",
    log:
        "logs/published.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=cells.digest(repr(published.numbers())),
    shell:
        "python -m benchmark published --out {output:q} 2> {log:q}"


rule audit:
    output:
        csv="results/audit.csv",
        md="results/audit.md",
    log:
        "logs/audit.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=cells.digest(repr(published.numbers())),
    shell:
        "python -m benchmark audit --out {output.csv:q} 2> {log:q}"


rule coverage:
    output:
        "results/coverage.csv",
    log:
        "logs/coverage.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=cells.digest(repr(published.numbers())),
        done=[str(folder) for folder, run in RUNS.items() if run.state(Path()) == "done"],
    shell:
        "python -m benchmark coverage --out {output:q} 2> {log:q}"
