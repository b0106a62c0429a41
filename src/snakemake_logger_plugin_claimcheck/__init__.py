"""Snakemake's `--logger claimcheck`: hands what Snakemake tells to `claimcheck.cli.progress`, which shows it.

A package beside claimcheck, since Snakemake finds its plugins by their names. Faults and warnings keep Snakemake's words.
"""

from __future__ import annotations

import logging
import sys

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from claimcheck.cli.progress import Display


class LogHandler(LogHandlerBase):
    """Shows each study's progress; told in full only what is wrong, and everything in a dry run or with --verbose."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.display = Display(sys.stdout if self.common_settings.stdout else sys.stderr)
        self.everything = self.common_settings.dryrun or self.common_settings.verbose

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of Snakemake's."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_ERROR:
            self.display.fail(record.jobid)
        if self.everything or record.levelno >= logging.WARNING:
            self.display.tell(self.format(record))
        elif event == LogEvent.RUN_INFO:
            self.display.plan(record.stats)
        elif event == LogEvent.JOB_INFO:
            self.display.start(record.jobid, record.rule_name, list(record.log), list(record.output))
        elif event == LogEvent.JOB_FINISHED:
            self.display.finish(record.job_id)
        elif event is None and str(record.msg).startswith("Nothing to be done"):
            self.display.tell("Nothing to do: everything is there, and of the present sources.")

    def close(self) -> None:
        """Take the table from the terminal."""
        self.display.close()
        super().close()
