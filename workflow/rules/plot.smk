# Plot: records become figures, as SVG for the page and PNG for the slides.
for study, results in EVERY.items():

    rule:
        name:
            f"plot_{study}"
        input:
            after(results.assembled),
        output:
            report(
                [str(path) for path in results.drawings if path.suffix == ".svg"],
                category="Figures",
                subcategory=study,
                caption="../report/figure.rst",
            ),
            [str(path) for path in results.drawings if path.suffix != ".svg"],
        log:
            f"{RESULTS}/{study}/plot.log",
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            study=study,
        shell:
            "step plot {params.study} --keep-view "
            '--results-dir="$(results_above {input:q})" > {log:q} 2>&1'
