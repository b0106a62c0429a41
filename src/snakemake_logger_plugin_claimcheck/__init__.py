"""Snakemake's `--logger claimcheck`: hands what Snakemake tells to `claimcheck.cli.progress`, which shows it.

A package beside claimcheck, since Snakemake finds its plugins by their names. Of a job that fails its log is shown; other
faults and warnings keep Snakemake's words.
"""

from __future__ import annotations

import logging
import sys

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Shows each study's progress and what went wrong; everything in a dry run, or with --verbose."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        # Not above: Snakemake imports every plugin, and claimcheck has to be the one beside the Snakefile.
        from claimcheck.cli.progress import Display

        if not hasattr(self, "filters"):  # the base of early versions of the interface leaves that to plugins
            logging.Handler.__init__(self)
        self.display = Display(sys.stdout if self.common_settings.stdout else sys.stderr)
        self.everything = self.common_settings.dryrun or self.common_settings.verbose

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of Snakemake's."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_ERROR:
            self.display.fail(record.jobid)
        if self.everything:
            self.display.tell(self.format(record))
        elif event == LogEvent.JOB_ERROR and record.log:
            self.display.tell_failure(record.rule_name, record.log)
        elif event == LogEvent.ERROR and getattr(record, "exception", None) == "RuleException":
            pass  # the shell's words on the job that has just been told of
        elif record.levelno >= logging.WARNING:
            self.display.tell(self.format(record))
        elif event == LogEvent.RUN_INFO:
            self.display.plan(record.stats)
        elif event == LogEvent.JOB_INFO:
            wildcards = dict(getattr(record, "wildcards", None) or {})
            self.display.start(record.jobid, record.rule_name, list(record.log), list(record.output), wildcards)
        elif event == LogEvent.JOB_FINISHED:
            self.display.finish(record.job_id)
        elif event is None and str(record.msg).startswith("Nothing to be done"):
            self.display.tell("Nothing to do: everything is there, and of the present sources.")

    def close(self) -> None:
        """Take the table from the terminal."""
        self.display.close()
        super().close()
