"""Check that every architecture of mlx-lm computes in cut rings what it computes whole; print a table.

`python -m tests.conformance` walks all modules of mlx_lm.models, `python -m tests.conformance NAME…` some.
Exit status 1 if anything fails that can run here.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .configs import VARIANTS, module_names
from .report import PASSED, Kind, Report

CHECKS = ("card", "prefill", "decode", "lanes", "replay", "parts")
WHOLE_TRIES = 3
SHARE = 6
"""Architectures that one process checks: starting it takes as long as checking two."""


def main() -> int:
    """Check, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="architectures, as mlx-lm names their modules; all by default"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    options = parser.parse_args()
    names = options.names or [*module_names(), *VARIANTS]
    shares = [names[begin : begin + SHARE] for begin in range(0, len(names), SHARE)]
    with ThreadPoolExecutor(options.jobs) as pool:
        reports = [report for share in pool.map(check_share, shares) for report in share]
    print_table(reports)
    return int(any(report.kind is Kind.FAILED for report in reports))


def check_share(names: Sequence[str]) -> list[Report]:
    """Check some architectures in a process, and the rest of them in another one where that dies."""
    left, reports = list(names), []
    while left:
        child = _child(*left)
        found = dict(_reports(child.stdout))
        done = [name for name in left if name in found and found[name].phase == "done"]
        reports += [found[name] for name in done]
        left = left[len(done) :]
        if left:
            reports.append(_died(left.pop(0), found, child))
    return reports


def _child(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.conformance.child", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _reports(output: str) -> Iterator[tuple[str, Report]]:
    for line in output.splitlines():
        if line.startswith("{"):
            report = Report(**json.loads(line))
            report.kind = Kind(report.kind)
            yield report.name, report


def _died(name: str, found: dict[str, Report], child: "subprocess.CompletedProcess[str]") -> Report:
    report = found.get(name, Report(name))
    how = f"the interpreter ended with status {child.returncode}"
    # What spoils memory is often noticed much later.
    if report.phase == "whole" or any(_child("--whole", name).returncode for _ in range(WHOLE_TRIES)):
        report.kind, report.reason = Kind.CANNOT_RUN, f"{how}, as with mlx-lm's own whole model"
    else:
        last = child.stderr.strip().splitlines()[-1:] or [""]
        report.checks[report.phase or "start"] = f"{how}: {last[0]}"
    return report


def print_table(reports: Sequence[Report]) -> None:
    """Print a line for each architecture, what is wrong with those that fail, and what the rest lacks."""
    wide = max(len(report.name) for report in reports)
    checked = [report for report in reports if report.kind in (Kind.PASSED, Kind.FAILED)]
    print(f"{'architecture':{wide}}  layers  rings  {'  '.join(CHECKS)}  result")
    for report in checked:
        marks = "  ".join(f"{_mark(report.checks.get(name)):{len(name)}}" for name in CHECKS)
        print(f"{report.name:{wide}}  {report.layers:6}  {len(report.rings):5}  {marks}  {_result(report)}")
    for report in checked:
        for name, result in report.checks.items():
            if result != PASSED:
                print(f"{report.name}: {name}: {result}")
        for remark in report.remarks:
            print(f"{report.name}: {remark}")
    for kind in (Kind.CANNOT_RUN, Kind.NO_CONFIGURATION, Kind.NO_ARCHITECTURE):
        for report in reports:
            if report.kind is kind:
                print(f"{report.name}: {kind}: {report.reason}")
    variants = [report for report in reports if "/" in report.name]
    print(f"{_passed(variants)} of {len(variants)} variants pass")
    found = [r for r in reports if r not in variants and r.kind is not Kind.NO_ARCHITECTURE]
    able = sum(report in checked for report in found)
    print(f"{_passed(found)} of {len(found)} architectures pass; {able} can run here")


def _passed(reports: Sequence[Report]) -> int:
    return sum(report.kind is Kind.PASSED for report in reports)


def _mark(result: str | None) -> str:
    return "-" if result is None else "ok" if result == PASSED else "NO"


def _result(report: Report) -> str:
    if not report.forbidden:
        return report.kind
    cuts = ", ".join(map(str, report.forbidden))
    return f"{report.kind}; no cut before {cuts}" if report.rings else f"{report.kind}; cannot be cut"


if __name__ == "__main__":
    sys.exit(main())
