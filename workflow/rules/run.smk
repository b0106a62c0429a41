# Train: a study's design becomes records, one row a run and step.
rule run:
    output:
        records=update(f"{RESULTS}/{{study}}/records.parquet"),
        provenance=update(f"{RESULTS}/{{study}}/provenance.json"),
    log:
        f"{RESULTS}/{{study}}/run.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        fingerprint=lambda wildcards: content(fingerprint.run_parts, wildcards.study),
        options=options("device", "seeds", "data_dir"),
    shell:
        "{CLAIMCHECK} run {wildcards.study} {WHERE} {params.options} > {log} 2>&1"
