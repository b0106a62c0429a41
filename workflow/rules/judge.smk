# Judge: records become verdicts, also with the arms shuffled: nothing may be found there. The judge is judged, too.
for study, results in EVERY.items():

    rule:
        name:
            f"judge_{study}"
        input:
            after(results.assembled),
        output:
            report(
                str(results.verdicts),
                category="Verdicts",
                labels={"study": study},
                caption="../report/verdicts.rst",
            ),
            str(results.shuffled),
        log:
            f"{RESULTS}/{study}/judge.log",
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            study=study,
        shell:
            "step judge {params.study} --keep-view "
            '--results-dir="$(results_above {output:q})" > {log:q} 2>&1'


rule calibrate:
    input:
        after(results.verdicts for results in SHOWN.values()),
    output:
        str(REPORT.calibration),
    log:
        f"{RESULTS}/.logs/calibrate.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    shell:
        'step calibrate "${{shown[@]}}" --results-dir="$(results_above {output:q})" > {log:q} 2>&1'
