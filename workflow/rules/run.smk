# Train: a study's design becomes records, one row a run and step; in pieces where there are workers for them.
rule fetch:
    output:
        f"{CONFIG.results_dir}/data/{{name}}.txt",
    log:
        f"{CONFIG.results_dir}/data/{{name}}.log",
    localrule: True
    conda:
        "../envs/claimcheck.yaml"
    params:
        options=options("data_dir"),
    shell:
        "claimcheck data fetch {wildcards.name} {params.options} > {log} 2>&1 && cp {log} {output}"


rule run:
    input:
        ready if CONFIG.shards == 1 else pieces,
    output:
        # Kept until the new ones are whole, and put back should the run fail.
        records=update(f"{RESULTS}/{{study}}/records.parquet"),
        provenance=update(f"{RESULTS}/{{study}}/provenance.json"),
    log:
        f"{RESULTS}/{{study}}/run.log",
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPUS if CONFIG.shards == 1 else 0,
    params:
        step=unrecorded("run" if CONFIG.shards == 1 else "merge"),
        options=options(*RUN) if CONFIG.shards == 1 else options(*MERGE, "shards"),
        outdated=lambda wildcards, output: f"{RESULTS}/{wildcards.study}/outdated.txt",
    shell:
        "claimcheck {params.step} {wildcards.study} {params.options} > {log} 2>&1 && rm -f {params.outdated}"


rule piece:
    input:
        ready,
    output:
        temp(directory(f"{RESULTS}/{{study}}/shards/{{piece}}-of-{CONFIG.shards}")),
    log:
        f"{RESULTS}/{{study}}/run-{{piece}}-of-{CONFIG.shards}.log",
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=MINUTES,
        gpu=GPUS,
    params:
        shards=CONFIG.shards,
        options=options(*RUN),
    shell:
        "claimcheck run {wildcards.study} --shard {wildcards.piece}/{params.shards} {params.options} > {log} 2>&1"
