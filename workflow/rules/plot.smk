# Plot: records become figures, as SVG for the page and PNG for the slides.
rule plot:
    input:
        records,
    output:
        report(
            directory(f"{RESULTS}/{{study}}/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            subcategory="{study}",
            labels={"figure": "{figure}"},
            caption="../report/figure.rst",
        ),
    log:
        f"{RESULTS}/{{study}}/plot.log",
    conda:
        "../envs/claimcheck.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=lambda wildcards: content(fingerprint.plot_parts, wildcards.study),
        options=options(*WHERE),
        redraw=lambda wildcards, output: f"{RESULTS}/{wildcards.study}/redraw.txt",
    shell:
        "claimcheck plot {wildcards.study} {params.options} > {log} 2>&1 && rm -f {params.redraw}"
