# The pipeline: every study is run, judged and drawn; the report gathers them.
#   snakemake --cores 2                          everything, at the scale of workflow/config.yaml
#   snakemake --cores 2 gradient_flow            one study
#   snakemake --cores 2 --config scale=full      another scale
configfile: f"{workflow.basedir}/workflow/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/plot.smk"
include: "workflow/rules/report.smk"


# Each named here, not only what comes last: Snakemake does not miss a file between two that are there.
EACH = [*rules.run.output, *rules.judge.output, *rules.plot.output]


rule all:
    default_target: True
    input:
        rules.report.output,
        expand(EACH, study=STUDIES),


for study in ALL_STUDIES:

    rule:
        name:
            study
        input:
            expand(EACH, study=study),


onstart:
    hold_lock()


onerror:
    report_what_there_is()
