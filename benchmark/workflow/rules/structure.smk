# Parameters and operations of networks at paper size, from their layers alone: no training, no data. Each network once, whoever asks.


rule network:
    output:
        "structures/{backbone}/{dataset}.json",
    log:
        "logs/structures/{backbone}-{dataset}.log",
    wildcard_constraints:
        backbone=one_of(kinds.backbones()),
        dataset=one_of(kinds.datasets()),
    group:
        "small" if CLUSTER else None
    conda:
        "../../../envs/environment.yaml"
    threads: 1
    resources:
        **WHERE,
        gpu=0,
        mem_mb=6000,
    params:  # not passed on: a change of it counts the network again
        network=lambda wildcards: told(structures.key, wildcards.backbone, wildcards.dataset),
    shell:
        "tell {log:q} python -m benchmark network {wildcards.backbone} {wildcards.dataset} --out {output:q} --threads {threads}"


rule structure:
    input:
        lambda wildcards: [str(path) for path in told(structures.of_all_pins)],
    output:
        report("results/structure.csv", caption="../captions/structure.rst", category="Structure", labels={"table": "structure"}),
    log:
        "logs/structure.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=lambda wildcards: cells.digest(repr(told(published.numbers))),
        notes=lambda wildcards: cells.digest(
            "".join((kinds.PAPERS / f"{name}.csv").read_text("utf-8") for name in ("structure_notes", "parameters"))
        ),
        code=code.of_closure(code.ROOT / "benchmark/reports/structure.py"),
    shell:
        "tell {log:q} python -m benchmark structure --out {output:q}"
