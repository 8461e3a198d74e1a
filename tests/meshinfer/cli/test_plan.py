import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meshinfer.cli.app import app

from .conftest import Start


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["plan", *arguments, "--offline"])
    return result.exit_code, result.stdout, result.stderr


def run_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    status, out, _ = run(*arguments, "--json")
    return status, json.loads(out)


@pytest.mark.parametrize("model", ["kimi-k2", "deepseek-v3.1", "qwen3-235b", "gpt-oss-120b", "llama-3.3-70b"])
def test_large_models_are_planned_with_nothing_at_hand(model: str) -> None:
    status, out, err = run(model, "--on", "4 x M3 Ultra 512GB")
    assert (status, err) == (0, "")
    for words in (
        "offers  weights  KV cache",
        "decode: ",
        "prefill: ",
        "819 GB/s",
        "28.6 TFLOPs",
        "apple.com",
    ):
        assert words in out


def test_a_plan_tells_memory_context_and_speed() -> None:
    status, out, _ = run("kimi-k2", "--on", "2 x M3 Ultra 512GB", "--readers", "4")
    assert status == 0
    model, parameters, ring, *rest = out.splitlines()
    assert model == "kimi-k2 (mlx-community/Kimi-K2-Instruct-4bit): in 4-bit 578 GB, 61 layers"
    assert parameters.startswith("1,026.4 billion parameters, of which a token goes through 30.5 billion")
    assert parameters.endswith("(8 of 384 experts)")
    assert ring == "ring M3 Ultra #1 0–31 → M3 Ultra #2 32–60"
    text = "\n".join(rest)
    assert (
        "4,096 tokens for each reader are planned; 131,072 would fit, the most that the model takes" in text
    )
    assert "tokens/s for one reader: " in text
    assert "tokens/s for 4 readers together, in 2 lanes" in text


def test_a_machine_too_many_is_told() -> None:
    _, out, _ = run("qwen3-8b", "--on", "2 x M3 Ultra 512GB")
    assert "ring M3 Ultra #1 0–35; 1 of 2 would make it no faster" in out


def test_what_does_not_fit_says_by_how_much_and_what_would() -> None:
    status, out, err = run("deepseek-v3.1", "--on", "M3 Ultra 512GB", "--context", "160000", "--readers", "8")
    assert status == 1
    assert "error: deepseek-v3.1 needs 468 GB with its KV cache; 1 peer offers 412 GB" in err
    assert "55.7 GB too little" in err
    assert "meshinfer plan" not in err
    assert out.splitlines()[2:] == [
        "what would fit:",
        "  coarser weights: 3-bit, 294 GB",
        "  less context: 60,672 of 160,000 tokens for each of 8 readers",
        "  more memory: 1 more like M3 Ultra, of 412 GB",
    ]


def test_what_is_far_too_large_is_said_to_be() -> None:
    status, out, err = run("kimi-k2", "--on", "M1 8GB")
    assert status == 1
    assert "572 GB too little" in err
    assert "nothing near it would fit: take a smaller model" in out


def test_programs_get_all_of_it() -> None:
    status, told = run_json("llama-3.3-70b", "--on", "2 x M4 Max 36GB", "--quant", "8", "--link", "10gbe")
    assert status == 1
    assert (told["fits"], told["context_tokens"], told["coarser"]["precision"]) == (False, None, "5-bit")
    assert told["missing_bytes"] == pytest.approx(19e9, rel=0.1)
    assert told["more_peers"] == {"count": 1, "like": "M4 Max #1", "memory_bytes": 28991029248}

    status, told = run_json("llama-3.3-70b", "--on", "2 x M4 Max 36GB", "--link", "10gbe")
    assert status == 0
    assert told["model"]["weight_bytes"] == sum(stage["weight_bytes"] for stage in told["ring"])
    for stage in told["ring"]:
        parts = ("weight_bytes", "kv_bytes", "transient_bytes", "rest_bytes")
        assert sum(stage[part] for part in parts) == stage["memory_bytes"]
    turn_s = sum(stage["step_s"] for stage in told["ring"]) + told["hops_s"]
    assert told["decode"] == [{"readers": 1, "lanes": 1, "tok_s": pytest.approx(1 / turn_s)}]


def test_precision_and_link_change_the_plan() -> None:
    on = ("--on", "2 x M4 Max 128GB", "--stages", "2")
    _, fine = run_json("qwen3-32b", *on, "--quant", "bf16")
    _, coarse = run_json("qwen3-32b", *on, "--link", "wifi")
    assert fine["model"]["weight_bytes"] > 3 * coarse["model"]["weight_bytes"]
    assert fine["model"]["origin"] == "Qwen/Qwen3-32B"
    assert coarse["model"]["origin"] == "mlx-community/Qwen3-32B-4bit"
    assert coarse["hops_s"] > 9 * fine["hops_s"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("kimi-k3000", "did you mean kimi-k2?"),
        ("org/absent", "downloading is off"),
        ("./nowhere", "is missing"),
    ],
)
def test_a_model_that_is_nowhere_is_named(model: str, words: str) -> None:
    status, out, err = run(model, "--on", "M1")
    assert (status, out) == (1, "")
    assert words in err


def test_an_architecture_that_nobody_knows_is_named(tmp_path: Path) -> None:
    config = {"model_type": "gtp", "hidden_size": 8, "num_hidden_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    status, _, err = run(str(tmp_path), "--on", "M1")
    assert status == 1
    assert "does not know the model type 'gtp'" in err


def test_without_machines_or_a_mesh_both_ways_are_told(start: Start, nobody: str) -> None:
    plan = start("plan", "smollm2", "--url", nobody)
    assert plan.until("^error: no peer answers at (.*): start .* or list machines with --on")[1] == nobody
    assert plan.ended() == 1


def test_a_mesh_that_runs_is_planned_for_as_it_is(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1", "--memory", "1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    plan = start("plan", "smollm2", "--url", url)
    plan.until("^ring mac-1 0–29$")
    plan.until(r"^mac-1  0–29    9\d\d MB")
    plan.until("^prefill: not estimated")
    plan.until("^mac-1: (measured|not measured yet)")
    plan.until(r"^mac-1 offers [0-9.]+ MB less while the mesh runs tiny$")
    assert plan.ended() == 0
    again = start("plan", str(tiny), "--url", url)
    again.until(r"^mac-1  0–\d+ +1\.0 GB")
    assert again.ended() == 0
    short = start("plan", "llama-3.1-8b", "--url", url)
    short.until("GB too little")
    short.until("^mac-1 offers .* less while the mesh runs tiny$")
    short.until("more memory: [0-9]+ more like mac-1, of 1.0 GB")
    assert short.ended() == 1
