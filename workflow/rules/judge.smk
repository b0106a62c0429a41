# Judge: records become verdicts, and, with the arms shuffled, the check that nothing is found in noise.
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
