# Judge: records become verdicts, also with the arms shuffled: nothing may be found there. The judge is judged, too.
rule judge:
    input:
        rules.run.output,
    output:
        report(
            f"{RESULTS}/{{study}}/verdicts.json",
            category="Verdicts",
            labels={"study": "{study}"},
            caption="../report/verdicts.rst",
        ),
        f"{RESULTS}/{{study}}/shuffled.json",
    log:
        f"{RESULTS}/{{study}}/judge.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=lambda wildcards: content(fingerprint.judge_parts, wildcards.study),
    shell:
        "{CLAIMCHECK} judge {wildcards.study} {WHERE} > {log} 2>&1"


rule calibrate:
    input:
        expand(f"{RESULTS}/{{study}}/verdicts.json", study=STUDIES),
    output:
        f"{RESULTS}/calibration.json",
    log:
        f"{RESULTS}/calibrate.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        fingerprint=content_of_calibration(),
    shell:
        "{CLAIMCHECK} calibrate {TO} > {log} 2>&1"
