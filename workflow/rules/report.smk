# Report: every verdict and figure, in one page, a short document and a whole one.
rule report:
    input:
        after(path for results in SHOWN.values() for path in results.assembled),
        after(results.verdicts for results in SHOWN.values()),
        after(results.controls for results in SHOWN.values()),
        after(path for results in SHOWN.values() for path in results.drawings),
    output:
        report(
            [f"{REPORT.report}/{name}" for name in state.REPORT],
            category="Report",
            caption="../report/report.rst",
        ),
        f"{REPORT.report}/verdicts.csv",
    log:
        f"{RESULTS}/.logs/report.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        'publishing report --keep-view "${{shown[@]}}" --results-dir="$(results_above {output:q})" > {log:q} 2>&1'


# Slides: a claim each, in the lecture's order, to be edited and to be shown.
rule slides:
    input:
        after(path for results in SHOWN.values() for path in results.assembled),
        after(results.verdicts for results in SHOWN.values()),
        after(results.controls for results in SHOWN.values()),
        after(path for results in SHOWN.values() for path in results.drawings),
    output:
        report(
            [f"{REPORT.report}/{name}" for name in state.SLIDES],
            category="Report",
            caption="../report/slides.rst",
        ),
    log:
        f"{RESULTS}/.logs/slides.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        'publishing slides --keep-view "${{shown[@]}}" --results-dir="$(results_above {output:q})" > {log:q} 2>&1'
