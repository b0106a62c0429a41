# Publish: the current results under the names that people read, on the machine where Snakemake was called. A receipt
# that carries the digest is there when, and only when, the published files are of that digest.
for study, results in EVERY.items():

    rule:
        name:
            f"publish_{study}"
        input:
            after([*results.assembled, results.verdicts, results.controls, *results.drawings]),
        output:
            update(published(results)),
        log:
            f"{RESULTS}/.logs/publish-{study}.log",
        localrule: True
        params:
            study=study,
        shell:
            'publishing publish {params.study} --results-dir="$(results_above {input:q})" > {log:q} 2>&1'


rule publish_report:
    input:
        after(f"{REPORT.report}/{name}" for name in (*REPORT_NAMES, "verdicts.csv")),
    output:
        update(published_report()),
    log:
        f"{RESULTS}/.logs/publish-report.log",
    localrule: True
    shell:
        'publishing publish --report "${{shown[@]}}" --results-dir="$(results_above {input:q})" > {log:q} 2>&1'
