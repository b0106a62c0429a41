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
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=lambda wildcards: content(fingerprint.judge_parts, wildcards.study),
        options=options(*WHERE),
    shell:
        "claimcheck judge {wildcards.study} {params.options} > {log} 2>&1"


rule calibrate:
    input:
        expand(f"{RESULTS}/{{study}}/verdicts.json", study=STUDIES),
    output:
        f"{RESULTS}/calibration.json",
    log:
        f"{RESULTS}/calibrate.log",
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        fingerprint=content_of_calibration(),
        options=options("scale", "results_dir"),
    shell:
        "claimcheck calibrate {params.options} > {log} 2>&1"
