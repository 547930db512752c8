# Tables, the joined pins and the audit: rules that never load torch.


def runs_of(wildcards):
    return [str(folder / "metrics.json") for folder in told(ledger.runs, [wildcards.table], SETTINGS)]


rule table:
    input:
        runs_of,
    output:
        csv="results/{table}.csv",
        md="results/{table}.md",
        meta="results/{table}.meta.json",
    wildcard_constraints:
        table=r"table[^/]*",
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.read, wildcards.table))),
        config=CONFIG,
    log:
        "logs/{table}.log",
    conda:
        "../../envs/environment.yaml"
    localrule: True
    shell:
        COMMAND + " table {wildcards.table} --directory . --config {params.config:q} 2> {log:q}"


rule published:
    output:
        "results/published.csv",
    params:
        pins=cells.digest(repr(published.numbers())),
    log:
        "logs/published.log",
    conda:
        "../../envs/environment.yaml"
    localrule: True
    shell:
        COMMAND + " published --out {output:q} 2> {log:q}"


rule audit:
    output:
        csv="results/audit.csv",
        md="results/audit.md",
    params:
        pins=cells.digest(repr(published.numbers())),
    log:
        "logs/audit.log",
    conda:
        "../../envs/environment.yaml"
    localrule: True
    shell:
        COMMAND + " audit --out {output.csv:q} 2> {log:q}"
