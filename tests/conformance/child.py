"""Checks architectures one after the other and writes what it finds, a line of JSON at a time.

A process of its own, since some architectures end the interpreter.
"""

import dataclasses
import importlib
import json
import sys
import tempfile
import traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from .configs import config_of
from .report import PASSED, Kind, Report

MOST_NUMBERS = 10_000_000
"""A tiny model has fewer weights."""


def main(names: list[str]) -> None:
    """Check some architectures by name; with --whole first, only that mlx-lm's whole models run."""
    is_whole = names[0] == "--whole"
    for name in names[is_whole:]:
        _write(check_one(name, is_whole=is_whole))


def check_one(name: str, *, is_whole: bool = False, is_quick: bool = False) -> Report:
    """Check an architecture or a variant. is_quick: in one ring only, cut wherever it can be."""
    report = Report(name)
    _write(report)
    try:
        _check(report, is_whole, is_quick)
    except Exception as error:  # the table shows it
        report.checks[report.phase] = f"{type(error).__name__}: {error}"
    report.phase = "done"
    return report


def _check(report: Report, is_whole: bool, is_quick: bool) -> None:
    report.phase = "import"
    said = StringIO()
    try:
        with redirect_stdout(said):
            module: Any = importlib.import_module(f"mlx_lm.models.{report.name.partition('/')[0]}")
    except (ImportError, SystemExit) as error:
        reason = said.getvalue().strip() or repr(error)
        report.kind, report.reason = Kind.CANNOT_RUN, f"its module cannot be imported: {reason}"
        return
    if not (hasattr(module, "Model") and hasattr(module, "ModelArgs")):
        report.kind, report.reason = Kind.NO_ARCHITECTURE, "it has no Model and ModelArgs"
        return
    report.phase = "configuration"
    try:
        config = config_of(report.name)
        numbers = _count(module, config)
    except Exception as error:  # whatever a module makes of settings that are not its own
        report.kind, report.reason = Kind.NO_CONFIGURATION, f"{type(error).__name__}: {error}"
        return
    if numbers > MOST_NUMBERS:
        report.kind, report.reason = Kind.NO_CONFIGURATION, f"{numbers} weights with the usual settings"
        return
    _check_model(report, config, is_whole, is_quick)


def _check_model(report: Report, config: dict[str, Any], is_whole: bool, is_quick: bool) -> None:
    from . import checks

    with tempfile.TemporaryDirectory() as directory:
        report.phase = "whole"
        _write(report)
        subject = checks.Subject(report.name, config, Path(directory))
        try:
            checks.run_whole(subject)
        except Exception as error:
            if "Metal" not in str(error):
                raise
            kernel = traceback.extract_tb(error.__traceback__)[-1].name
            report.kind, report.reason = Kind.CANNOT_RUN, f"{kernel} is a Metal kernel only"
            return
        if not is_whole:
            checks.check(report, subject, _write, is_quick=is_quick)
    if all(result == PASSED for result in report.checks.values()):
        report.kind = Kind.PASSED


def _count(module: Any, config: dict[str, Any]) -> int:
    """How many weights the model has; nothing is evaluated."""
    from mlx.utils import tree_flatten

    model = module.Model(module.ModelArgs.from_dict(config))
    weights: Any = tree_flatten(model.parameters())
    return sum(weight.size for _, weight in weights)


def _write(report: Report) -> None:
    print(json.dumps(dataclasses.asdict(report)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
