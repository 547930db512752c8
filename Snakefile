# Published rows -> cells -> runs -> tables. `snakemake --cores 8 results/table1_ldd.csv`
from snakemake.utils import min_version

min_version("9.0")


include: "benchmark/rules/common.smk"
include: "benchmark/rules/runs.smk"
include: "benchmark/rules/tables.smk"
include: "benchmark/rules/structure.smk"


rule all:
    default_target: True
    input:
        "results/table1_ldd.csv",
    localrule: True
