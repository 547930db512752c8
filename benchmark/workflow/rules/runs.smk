# One rule trains and measures any cell; `train_upstream` also declares the weights, which something downstream reads.


rule train:
    input:
        unpack(upstream_weights),
    output:
        metrics="runs/{cell}/seed{seed}/metrics.json",
        curve="runs/{cell}/seed{seed}/curve.csv",
        layers="runs/{cell}/seed{seed}/layers.csv",
    log:
        "logs/{cell}/seed{seed}.log",
    wildcard_constraints:
        cell=one_of_cells(CELLS.keys() - UPSTREAM),
        seed=r"\d+",
    group:
        SHARED
    conda:
        "../../../envs/environment.yaml"
    threads: CPUS
    resources:
        **ROOM,
    params:  # `spec` is not passed on: its change is what re-runs a cell
        spec=lambda wildcards: CELLS[wildcards.cell].json,
    shell:
        "tell {log:q} python -m benchmark run {wildcards.cell} --seed {wildcards.seed} --threads {threads}" " --devices {resources.gpu}"


use rule train as train_upstream with:
    output:
        metrics="runs/{cell}/seed{seed}/metrics.json",
        curve="runs/{cell}/seed{seed}/curve.csv",
        layers="runs/{cell}/seed{seed}/layers.csv",
        weights="runs/{cell}/seed{seed}/weights.pt",
    wildcard_constraints:
        cell=one_of_cells(UPSTREAM - PICTURED),
        seed=r"\d+",


use rule train as train_pictured with:
    output:
        metrics="runs/{cell}/seed{seed}/metrics.json",
        curve="runs/{cell}/seed{seed}/curve.csv",
        layers="runs/{cell}/seed{seed}/layers.csv",
        weights="runs/{cell}/seed{seed}/weights.pt",
        parts="runs/{cell}/seed{seed}/parts.pt",
    wildcard_constraints:
        cell=one_of_cells(PICTURED),
        seed=r"\d+",


rule surface:
    input:
        metrics="runs/{cell}/seed{seed}/metrics.json",
        weights="runs/{cell}/seed{seed}/weights.pt",
    output:
        "runs/{cell}/seed{seed}/surface.csv",
    log:
        "logs/{cell}/seed{seed}.surface.log",
    wildcard_constraints:
        cell=one_of_cells(SURFACES),
        seed=r"\d+",
    group:
        SHARED
    conda:
        "../../../envs/environment.yaml"
    threads: CPUS
    resources:
        **ROOM,
    params:
        points=11 if SETTINGS.scale == "smoke" else 41,
        images=256 if SETTINGS.scale == "smoke" else 4096,
    shell:
        "tell {log:q} python -m benchmark surface --run $(dirname {input.metrics:q}) --points {params.points} --images {params.images}"
        " --threads {threads}"


rule pictures:
    input:
        metrics="runs/{cell}/seed{seed}/metrics.json",
        weights="runs/{cell}/seed{seed}/weights.pt",
        parts="runs/{cell}/seed{seed}/parts.pt",
    output:
        csv="runs/{cell}/seed{seed}/pictures.csv",
        png="runs/{cell}/seed{seed}/pictures.png",
    log:
        "logs/{cell}/seed{seed}.pictures.log",
    wildcard_constraints:
        cell=one_of_cells(PICTURED),
        seed=r"\d+",
    group:
        SHARED
    conda:
        "../../../envs/environment.yaml"
    threads: CPUS
    resources:
        **ROOM,
    shell:
        "tell {log:q} python -m benchmark pictures $(dirname {input.metrics:q}) --threads {threads}"
