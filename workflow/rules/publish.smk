# Publish: the current results under the names that people read, on the machine where Snakemake was called. A receipt
# that carries the digest is there when, and only when, the published files are of that digest.
for study, results in EVERY.items():

    rule:
        name:
            f"publish_{study}"
        input:
            ancients([*results.assembled, results.verdicts, results.controls, *results.drawings]),
        output:
            local(str(results.receipt)),
            local(
                [
                    update(f"{results.view}/{name}")
                    for name in (
                        "records.parquet",
                        "provenance.json",
                        "verdicts.json",
                        "controls.json",
                        "figures/checksums.json",
                    )
                ]
            ),
        log:
            f"{RESULTS}/.logs/publish-{study}.log",
        localrule: True
        params:
            study=study,
        shell:
            'publishing publish {params.study} --results-dir="$(results_above {input:q})" > {log:q} 2>&1'


rule publish_report:
    input:
        ancients(f"{REPORT.report}/{name}" for name in ("report.html", "report.pdf", "verdicts.csv")),
    output:
        local(str(REPORT.receipt)),
        local(
            [
                update(str(path))
                for path in (
                    CONFIG.reports / "report.html",
                    CONFIG.reports / "report.pdf",
                    RESULTS / "verdicts.csv",
                )
            ]
        ),
    log:
        f"{RESULTS}/.logs/publish-report.log",
    localrule: True
    shell:
        'publishing publish --report "${{shown[@]}}" --results-dir="$(results_above {input:q})" > {log:q} 2>&1'
