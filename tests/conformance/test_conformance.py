"""The quick part of `make conformance`: one architecture for each way in which layers hang together.

What `tests/meshinfer/model` has rings of already is left out here.
"""

import pytest

from tests.conformance.__main__ import check_share
from tests.conformance.child import check_one
from tests.conformance.configs import OWN, VARIANTS, config_of, module_names
from tests.conformance.report import Kind

MECHANISMS = [
    "afm7",  # a second loop over layers that read the first one's caches
    "dbrx",  # a graph that depends on numbers
    "deepseek_v41",  # streams, shared compressed keys, and a cache class of its own
    "gemma2",  # a batch that only looks right
    "iquestloopcoder",  # two laps
    "mamba",  # states only
    "nemotron-nas",  # layers without attention
    "openelm",  # heads that differ by layer
    "talkie",  # embeddings that every layer reads
    "llama/one-layer",
]


@pytest.mark.parametrize("name", MECHANISMS)
def test_an_architecture_computes_in_rings_what_it_computes_whole(name: str) -> None:
    report = check_one(name, is_quick=True)
    assert report.kind is Kind.PASSED, report.checks


def test_what_is_no_architecture_is_told_by_a_rule() -> None:
    assert check_one("switch_layers").kind is Kind.NO_ARCHITECTURE


def test_a_module_that_is_not_known_has_no_configuration_and_fails_nothing() -> None:
    report = check_one("a_later_one")
    assert report.kind is Kind.CANNOT_RUN
    assert "cannot be imported" in report.reason


def test_every_row_is_of_a_module_that_is_there() -> None:
    assert set(OWN) <= set(module_names())
    assert {name.partition("/")[0] for name in VARIANTS} <= set(module_names())
    assert config_of("llama/tied") == config_of("llama") | {"tie_word_embeddings": True}


def test_one_that_cannot_be_imported_leaves_the_others_to_be_checked() -> None:
    reports = {report.name: report for report in check_share(["base", "olmo", "cache"])}
    assert [report.kind for report in reports.values()] == [
        Kind.NO_ARCHITECTURE,
        Kind.CANNOT_RUN,
        Kind.NO_ARCHITECTURE,
    ]
