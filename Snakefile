# Published rows -> cells -> runs -> tables. `snakemake --cores 8 results/table1_ldd.csv`
from snakemake.utils import min_version

min_version("9.0")


include: "benchmark/workflow/rules/common.smk"
include: "benchmark/workflow/rules/machine.smk"
include: "benchmark/workflow/rules/runs.smk"
include: "benchmark/workflow/rules/tables.smk"
include: "benchmark/workflow/rules/structure.smk"
include: "benchmark/workflow/rules/report.smk"


report: "benchmark/workflow/captions/workflow.rst"


rule all:
    default_target: True
    input:
        reported() or "results/table1_ldd.csv",
    localrule: True
