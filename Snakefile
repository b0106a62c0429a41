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
include: "workflow/rules/publish.smk"


rule all:
    default_target: True
    input:
        [published(results) for results in CHOSEN.values()],
        published_report(),


for study, results in EVERY.items():

    rule:
        name:
            study
        input:
            published(results),


onstart:
    hold_lock()
    take_at_word()


onerror:
    report_what_there_is()
