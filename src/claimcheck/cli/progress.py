"""What `make report` shows while it runs: each study's progress and the time left, from Snakemake's events and steps' logs.

On a terminal a table that renews itself; in a log or a pipe a line for each step that is done, and one a minute of those
that run. Decides nothing about what runs.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.table import Table

STEPS = {
    "tune": "tuned", "piece": "trained", "join": "joined", "assemble": "trained",
    "run": "trained", "judge": "judged", "plot": "drawn", "publish": "published",
}  # fmt: skip
"""What a study's rules do, by the first word of their names."""

PIECES = ("tune", "piece", "join")
"""Rules that serve every study, where a job is a part or a piece of one: the wildcards say of which."""

TRAINS = ("run", "tune", "piece")
"""Kinds that train: what takes time."""

REPORT = {"report": "report", "slides": "slides", "publish_report": "published"}
"""Rules of what gathers the studies."""

SHARE = "{study}: {percent:.0f} % done"
"""How a step's log says how far it is; the last such line counts."""

_SHARE = re.compile(r": (\d+) % done$", re.MULTILINE)

ENOUGH = 0.03
"""Share of a run from which its time is told."""

EVERY = 60.0
"""Seconds between lines on what runs, where there is no terminal."""


@dataclass
class Step:
    """One job: its rule's first word, the row that it belongs to, and when it began and ended.

    Attributes:
        piece: which part of the row's study it is of, and which piece of that, where a job is not the whole study.
    """

    kind: str
    row: str
    piece: str = ""
    log: Path | None = None
    output: Sequence[str] = ()
    began: float | None = None
    ended: float | None = None
    failed: bool = False

    @property
    def done(self) -> bool:
        """Whether it has done its work."""
        return self.ended is not None and not self.failed

    def share(self) -> float:
        """How much of it is done, as its log says."""
        if self.done:
            return 1.0
        try:
            told = _SHARE.findall(self.log.read_text(encoding="utf-8", errors="replace")) if self.log else []
        except OSError:
            told = []
        return int(told[-1]) / 100 if told else 0.0

    def times(self, now: float) -> tuple[float | None, float]:
        """Seconds that it takes in all, where that can be told, and seconds since it began."""
        if self.began is None:
            return None, 0.0
        if self.ended is not None:
            spent = self.ended - self.began
            return (None if self.failed else spent), spent
        share, spent = self.share(), now - self.began
        return (spent / share if share >= ENOUGH else None), spent


def place(rule: str, wildcards: Mapping[str, str] | None = None) -> tuple[str, str, str] | None:
    """Kind, row and piece of a job of a rule, or None for one that is not shown."""
    kind, _, study = rule.partition("_")
    if rule in REPORT:
        return rule, "report", ""
    if rule in PIECES:
        if not wildcards:
            return None
        piece = f", piece {wildcards['piece']}" if "piece" in wildcards else ""
        return rule, wildcards["study"], f"{wildcards['part']}{piece}"
    return (kind, study, "") if kind in STEPS and study else None


@dataclass
class Plan:
    """The steps of a call, as far as they are known, and how long they will take.

    Attributes:
        counts: how many jobs of each of `PIECES` there will be; of which study is known when they begin.
    """

    clock: Callable[[], float] = time.monotonic
    steps: dict[tuple[str, str, str], Step] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    jobs: dict[int, Step] = field(default_factory=dict)
    lanes: int = 1

    def expect(self, counts: Mapping[str, Any]) -> None:
        """Note the rules that will run."""
        self.counts = {rule: int(counts.get(rule, 0)) for rule in PIECES}
        for rule in counts:
            if (found := place(str(rule))) is not None:
                self.steps.setdefault(found, Step(*found))

    def rows(self) -> dict[str, list[Step]]:
        """The steps of each study, the report's at the end."""
        found: dict[str, list[Step]] = {}
        for step in self.steps.values():
            found.setdefault(step.row, []).append(step)
        order = {kind: number for number, kind in enumerate([*STEPS, *REPORT])}
        return {
            row: sorted(found[row], key=lambda step: order[step.kind])
            for row in sorted(found, key=lambda row: (row == "report", row))
        }

    def runs(self) -> list[Step]:
        """The steps that train, as far as it is known of which study they are."""
        return [step for step in self.steps.values() if step.kind in TRAINS]

    def to_train(self) -> int:
        """How many steps train in all."""
        pieces = sum(self.counts.get(kind, 0) for kind in TRAINS)
        return pieces + sum(step.kind == "run" for step in self.steps.values())

    def running(self) -> list[Step]:
        """Steps that have begun and not ended."""
        return [step for step in self.steps.values() if step.began is not None and step.ended is None]

    def seconds_left(self) -> float | None:
        """Seconds that training will still take, or None where nothing tells.

        What has not begun, or has not yet said how far it is, is taken to last as long as the others on average.
        """
        now = self.clock()
        times = {id(step): step.times(now) for step in self.runs()}
        known = [whole for whole, _ in times.values() if whole is not None]
        if not known:
            return None
        usual = sum(known) / len(known)
        left = []
        for step in self.runs():
            whole, spent = times[id(step)]
            if step.ended is None and not step.failed:
                left.append(max(0.0, (usual if whole is None else whole) - spent))
        left += [usual] * (self.to_train() - len(times))
        return max(sum(left) / self.lanes, max(left, default=0.0))


class Display:
    """Shows a plan on a terminal, or tells of it line by line."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console

        self.console = Console(file=stream)
        self.plan_ = Plan(clock)
        self.began = clock()
        self.live: Any = None
        self.ended = threading.Event()
        self.lock = threading.RLock()

    def plan(self, counts: Mapping[str, Any]) -> None:
        """The steps that Snakemake will take: rule -> how many."""
        with self.lock:
            self.plan_.expect(counts)
        runs, pieces = self.plan_.to_train(), any(self.plan_.counts.values())
        total = counts.get("total", sum(value for value in counts.values() if isinstance(value, int)))
        if self.console.is_terminal:
            self._begin()
        else:
            what = ("piece", "pieces") if pieces else ("study", "studies")
            self.tell(f"{_counted(total, 'step', 'steps')}; {_counted(runs, *what)} to train")
            threading.Thread(target=self._tell_now_and_then, daemon=True).start()

    def start(
        self,
        job: int,
        rule: str,
        logs: Sequence[str],
        output: Sequence[str],
        wildcards: Mapping[str, str] | None = None,
    ) -> None:
        """A job begins."""
        found = place(rule, wildcards)
        if found is None:
            return
        with self.lock:
            step = self.plan_.steps.setdefault(found, Step(*found))
            step.log, step.output, step.began = (Path(logs[0]) if logs else None), output, self.plan_.clock()
            self.plan_.jobs[job] = step
            self.plan_.lanes = max(self.plan_.lanes, sum(each.kind in TRAINS for each in self.plan_.running()))

    def finish(self, job: int) -> None:
        """A job has done its work."""
        with self.lock:
            step = self.plan_.jobs.get(job)
            if step is None:
                return
            step.ended = self.plan_.clock()
        if self.live is None and not (step.row == "report" and step.kind != "publish_report"):
            self.tell(self._done(step))

    def fail(self, job: int) -> None:
        """A job has failed."""
        with self.lock:
            if (step := self.plan_.jobs.get(job)) is not None:
                step.ended, step.failed = self.plan_.clock(), True

    def tell_failure(self, rule: str, logs: Sequence[str]) -> None:
        """What the log of a job that failed says."""
        self.tell(f"{rule} failed. {', '.join(logs)}:")
        for path in map(Path, logs):
            words = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "(no such file)"
            self.tell("\n".join(f"    {line}" for line in words.splitlines()))

    def tell(self, text: str) -> None:
        """A message, above the table where there is one."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the table as it is, and say where the report is."""
        self.ended.set()
        if self.live is not None:
            self.live.stop()
            self.live = None
            for step in self.plan_.steps.values():
                if step.kind == "publish_report" and step.ended is not None and not step.failed:
                    self.tell(self._done(step))

    def _begin(self) -> None:
        from rich.live import Live

        if self.live is None and self.plan_.steps:
            self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=1)
            self.live.start()

    def _done(self, step: Step) -> str:
        if step.kind == "publish_report":
            pages = (re.search(r"\S.*report\.html", path) for path in step.output)  # a remark of Snakemake's may follow
            page = next((found[0] for found in pages if found), "the report")
            return f"{page}, after {_words(self.plan_.clock() - self.began)}"
        line = f"{_named(step)}: {STEPS[step.kind]}"
        if step.kind not in TRAINS:
            return line
        took = _words((step.ended or 0) - (step.began or 0))
        done = sum(each.done for each in self.plan_.runs())
        return f"{line} in {took}, {done} of {self.plan_.to_train()}{_left(self.plan_.seconds_left())}"

    def _tell_now_and_then(self) -> None:
        while not self.ended.wait(EVERY):
            with self.lock:
                now = [f"{_named(step)} {step.share():.0%}" for step in self.plan_.running() if step.kind in TRAINS]
                left = self.plan_.seconds_left()
            if now:
                self.tell(f"training {', '.join(now)}{_left(left)}")

    def _table(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        with self.lock:
            table = Table.grid(padding=(0, 2))
            for row, steps in self.plan_.rows().items():
                train = next((step for step in steps if step.kind in ("run", "assemble")), None)
                share = train.share() if train else float(all(step.ended is not None for step in steps))
                in_pieces = any(step.kind in PIECES for step in steps) and not share  # nobody knows of how many
                bar = ProgressBar(total=1.0, completed=share, width=24, pulse=in_pieces)
                table.add_row(row, bar, self._state(steps))
            left = self.plan_.seconds_left()
            if left is not None and left >= 1:
                table.add_row("", "", f"training takes about {_words(left)} more")
        return table

    def _state(self, steps: Sequence[Step]) -> str:
        """Where a row stands, in words."""
        names = STEPS | REPORT
        if any(step.failed for step in steps):
            return "failed"
        now = self.plan_.clock()
        for step in steps:
            if step.kind == "run" and step.began is not None and step.ended is None:
                whole, spent = step.times(now)
                return f"{step.share():.0%}{_left(None if whole is None else whole - spent)}" if whole else "begins"
        done = [names[step.kind] for step in steps if step.done and step.kind not in PIECES]
        pieces = sum(step.done for step in steps if step.kind in ("tune", "piece"))
        running = sum(step.began is not None and not step.done for step in steps)
        if pieces and not done:
            return f"{_counted(pieces, 'piece', 'pieces')} trained{f', {running} in work' if running else ''}"
        return ", ".join(done) or ("in work" if running else "waiting")


def _named(step: Step) -> str:
    return f"{step.row}/{step.piece}" if step.piece else step.row


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None or seconds < 1 else f", about {_words(seconds)} left"


def _words(seconds: float) -> str:
    from claimcheck.report.text import duration

    return duration(max(0.0, seconds))
