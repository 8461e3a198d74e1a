import subprocess
import sys

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics

from meshinfer.api.metric_routes import families
from meshinfer.counting import Histogram
from meshinfer.metrics import METRICS, Kind, Reading
from tests.meshinfer.api.conftest import WatchedPeer

on_one_loop = pytest.mark.asyncio(loop_scope="session")


async def scrape(client: httpx2.AsyncClient, accept: str = "") -> dict[tuple[str, ...], float]:
    answer = await client.get("/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    is_open = answer.headers["content-type"].startswith("application/openmetrics-text")
    assert is_open == ("openmetrics" in accept)
    parse = open_metrics if is_open else plain_metrics
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


@on_one_loop
@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_an_answer_shows_in_the_numbers(
    peer: WatchedPeer, client: httpx2.AsyncClient, accept: str
) -> None:
    before = await scrape(client, accept)
    body = {"prompt": "a secret", "max_tokens": 5, "ignore_eos": True}
    answer = (await client.post("/v1/completions", json=body)).json()
    after = await scrape(client, accept)

    def grew(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert grew("meshinfer_requests_total", "tiny", "length") == 1
    assert grew("meshinfer_answer_tokens_total", "tiny") == 5
    assert grew("meshinfer_prompt_tokens_total", "tiny") == answer["usage"]["prompt_tokens"]
    assert grew("meshinfer_first_token_seconds_count", "tiny") == 1
    assert grew("meshinfer_token_interval_seconds_count", "tiny") == 4
    assert grew("meshinfer_stage_tokens_total", "decode") == 4
    assert grew("meshinfer_api_requests_total", "POST", "/v1/completions", "200") == 1
    assert after["meshinfer_members", "alive"] == after["meshinfer_model_live", "tiny"] == 1
    assert after["meshinfer_memory_budget_bytes",] == 1_000_000_000
    assert not any("secret" in part for key in after for part in key)


@on_one_loop
async def test_what_the_api_does_not_have_makes_no_new_numbers(client: httpx2.AsyncClient) -> None:
    for path in ("/nowhere", "/nothing"):
        await client.request("BREW", path)
    counted = {key[1:]: count for key, count in (await scrape(client)).items() if "api_requests" in key[0]}
    assert counted["other", "other", "404"] >= 2
    assert not {"/nowhere", "/nothing"} & {route for _, route, _ in counted}


def test_every_metric_is_told_of_even_while_it_has_no_value() -> None:
    told = [(family.name, family.type) for family in families([])]
    assert told == [(metric.name.removesuffix("_total"), metric.kind.value) for metric in METRICS]


def test_a_histogram_has_all_its_buckets() -> None:
    values = Histogram((0.1, 1.0))
    values.observe(0.5)
    name = next(metric.name for metric in METRICS if metric.kind is Kind.HISTOGRAM)
    (family,) = (each for each in families([Reading(name, ("tiny",), values)]) if each.name == name)
    assert [(sample.name.removeprefix(name), sample.value) for sample in family.samples] == [
        ("_bucket", 0),
        ("_bucket", 1),
        ("_bucket", 1),
        ("_count", 1),
        ("_sum", 0.5),
    ]


def test_importing_meshinfer_imports_no_prometheus() -> None:
    check = "import sys, meshinfer; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
