# Parameters and operations of every pinned network, from its layers alone: no training, no data.
from benchmark.pins import kinds as catalogue


rule structure:
    output:
        "results/structure.csv",
    log:
        "logs/structure.log",
    localrule: True
    conda:
        "../../../envs/environment.yaml"
    params:
        pins=cells.digest(repr(published.numbers())),
        notes=cells.digest("".join((published.PAPERS / f"{name}.csv").read_text("utf-8") for name in ("structure_notes", "parameters"))),
        code=cells.digest(repr([(name, catalogue.backbone(name).family.code) for name in catalogue.backbones()])),
    shell:
        "python -m benchmark structure --out {output:q} 2> {log:q}"
