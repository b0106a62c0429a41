# Judge: records become verdicts; controls, whose answers are known, show that a prediction could have failed.
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
            str(results.controls),
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
