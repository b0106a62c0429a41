# Train: a study's design becomes records, one row a run and step; in pieces where there are workers for them.
rule fetch:
    output:
        f"{CONFIG.results_dir}/data/{{name}}.txt",
    log:
        f"{CONFIG.results_dir}/data/{{name}}.log",
    localrule: True
    shell:
        "{CLAIMCHECK} data fetch {wildcards.name} {DATA} > {log} 2>&1 && cp {log} {output}"


rule run:
    input:
        ready if CONFIG.shards == 1 else pieces,
    output:
        # Kept until the new ones are whole, and put back should the run fail.
        records=update(f"{RESULTS}/{{study}}/records.parquet"),
        provenance=update(f"{RESULTS}/{{study}}/provenance.json"),
    log:
        f"{RESULTS}/{{study}}/run.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPUS if CONFIG.shards == 1 else 0,
    shell:
        "{CLAIMCHECK} {RUN} {wildcards.study} {WHERE} > {log} 2>&1 && rm -f {RESULTS}/{wildcards.study}/outdated.txt"


rule piece:
    input:
        ready,
    output:
        temp(directory(f"{RESULTS}/{{study}}/shards/{{piece}}-of-{CONFIG.shards}")),
    log:
        f"{RESULTS}/{{study}}/run-{{piece}}-of-{CONFIG.shards}.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPUS,
    shell:
        "{CLAIMCHECK} run {wildcards.study} --shard {wildcards.piece}/{CONFIG.shards} {WHERE} {HOW} > {log} 2>&1"
