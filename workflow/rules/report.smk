# Report: every verdict and figure, in one page and one document.
rule report:
    input:
        expand(f"{RESULTS}/{{study}}/provenance.json", study=STUDIES),
        expand(f"{RESULTS}/{{study}}/verdicts.json", study=STUDIES),
        expand(f"{RESULTS}/{{study}}/figures", study=STUDIES),
        # A calibration needs the seeds that the studies ask for.
        rules.calibrate.output if CONFIG.scale != "smoke" and CONFIG.seeds is None else [],
    output:
        report(
            multiext(f"{REPORTS}/report", ".html", ".pdf"),
            category="Report",
            labels={"document": "report"},
            caption="../report/report.rst",
        ),
        f"{RESULTS}/verdicts.csv",
    log:
        f"{RESULTS}/report.log",
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=content_of_report(),
        options=options(*WHERE, "reports_dir"),
    shell:
        "claimcheck report {params.options} > {log} 2>&1"
