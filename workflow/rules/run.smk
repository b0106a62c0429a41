# Run: a study's design becomes records, part by part. On one machine a process makes all missing parts of a study; cut
# into shards, a job is a part's pilots, a piece of a part, or the joining of pieces.
for name in downloads.SOURCES:

    rule:
        name:
            f"fetch_{name}"
        output:
            # Checked, and downloaded where something is missing: what is whole is kept, also when it is forced.
            [update(path) for path in data_files(name)],
        log:
            f"{RESULTS}/.logs/fetch-{name}.log",
        localrule: True
        params:
            name=name,
        shell:
            'claimcheck data fetch {params.name} --data-dir="$(data_above {output:q})" > {log:q} 2>&1'


if not BY_PART:

    for study, results in EVERY.items():

        rule:
            name:
                f"run_{study}"
            input:
                data=data_of(results.parts.values()),
            output:
                # Parts that are there already are kept, and put back should the run fail.
                [update(str(path)) for files in results.parts.values() for path in files.files],
                [update(str(path)) for path in results.assembled],
            log:
                f"{RESULTS}/{study}/run.log",
            threads: 1
            resources:
                mem_mb=MEMORY,
                runtime=MINUTES,
                gpu=GPUS,
            params:
                study=study,
            shell:
                "training run {params.study} $(again {params.study}) --keep-view "
                '--results-dir="$(results_above {output:q})" --data-dir="$(data_above {input.data:q})" > {log:q} 2>&1'

else:

    rule tune:
        input:
            data=lambda wildcards: data_of([part_of(wildcards)]),
        output:
            f"{RESULTS}/{{study}}/parts/{{part}}-{{digest}}.tuning.parquet",
        log:
            f"{RESULTS}/{{study}}/tune-{{part}}-{{digest}}.log",
        threads: 1
        resources:
            mem_mb=MEMORY,
            runtime=MINUTES,
            gpu=GPUS,
        shell:
            "training tune {wildcards.study}/{wildcards.part} $(again {wildcards.study}/{wildcards.part}) "
            "--digest {wildcards.digest} "
            '--results-dir="$(results_above {output:q})" --data-dir="$(data_above {input.data:q})" > {log:q} 2>&1'

    rule piece:
        input:
            data=lambda wildcards: data_of([part_of(wildcards)]),
            tuning=pilots_of,
        output:
            temp(f"{RESULTS}/{{study}}/parts/{{part}}-{{digest}}.{{piece}}-of-{CONFIG.shards}.parquet"),
        log:
            f"{RESULTS}/{{study}}/run-{{part}}-{{digest}}-{{piece}}-of-{CONFIG.shards}.log",
        threads: 1
        resources:
            mem_mb=MEMORY,
            runtime=MINUTES,
            gpu=GPUS,
        shell:
            "training run {wildcards.study}/{wildcards.part} --shard {wildcards.piece}/$shards "
            "--digest {wildcards.digest} $(again {wildcards.study}/{wildcards.part}) "
            '--results-dir="$(results_above {output:q})" --data-dir="$(data_above {input.data:q})" > {log:q} 2>&1'

    rule join:
        input:
            pieces=lambda wildcards: [
                part_of(wildcards).shard(i + 1, CONFIG.shards) for i in range(CONFIG.shards)
            ],
            tuning=pilots_of,
        output:
            f"{RESULTS}/{{study}}/parts/{{part}}-{{digest}}.records.parquet",
        log:
            f"{RESULTS}/{{study}}/join-{{part}}-{{digest}}.log",
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        shell:
            "step merge {wildcards.study}/{wildcards.part} --shards $shards --digest {wildcards.digest} "
            '--results-dir="$(results_above {output:q})" > {log:q} 2>&1'

    for study, results in EVERY.items():

        rule:
            name:
                f"assemble_{study}"
            input:
                after(path for files in results.parts.values() for path in files.files),
            output:
                [str(path) for path in results.assembled],
            log:
                f"{RESULTS}/{study}/run.log",
            threads: 1
            resources:
                mem_mb=2000,
                runtime=30,
            params:
                study=study,
            shell:
                "step assemble {params.study} --keep-view "
                '--results-dir="$(results_above {output:q})" > {log:q} 2>&1'
