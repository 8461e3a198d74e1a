"""What others measured and published, beside what a plan on paper says of it.

`python -m tests.meshinfer.paper.published` prints the table of `docs/plans.md`.
"""

from dataclasses import dataclass

from meshinfer.model.catalogue import find_entry
from meshinfer.model.precision import parse_precision
from meshinfer.model.runtime import prepare_mlx
from meshinfer.paper.links import LINKS
from meshinfer.paper.listing import read_machines
from meshinfer.paper.peers import peers_of
from meshinfer.paper.plan import PaperPlan, Wanted, make_plan

prepare_mlx()

from meshinfer.model.sketch import sketch  # noqa: E402

_GEERLING = "https://www.jeffgeerling.com/blog/2025/15-tb-vram-on-mac-studio-rdma-over-thunderbolt-5"
_CLUSTER = "https://github.com/geerlingguy/beowulf-ai-cluster/issues/17"
_EXO_2070 = "https://github.com/exo-explore/exo/issues/2070"
_RAPID = "https://github.com/raullenchai/Rapid-MLX/pull/"
_MLX_LM = "https://github.com/ml-explore/mlx-lm/"


@dataclass(frozen=True, slots=True)
class Published:
    """A figure in tokens a second. quant: None for the catalogue's; tokens: prompt, or context behind it."""

    model: str
    quant: str | None
    machines: str
    engine: str
    tok_s: float
    source: str
    tokens: int = 512
    is_prefill: bool = False

    @property
    def stages(self) -> int:
        """Over how many machines it was spread."""
        return len(read_machines([self.machines]))


# The quantisation of Qwen3-235B is not told; 8 bits are what its speed on one machine suggests. DeepSeek V3.1
# fits one machine in 4 bits only. Tensor parallel figures are left out: a pipeline is something else.
PUBLISHED = (
    Published("llama-3.1-8b", None, "M3 Ultra 60-core 256GB", "mlx-lm", 119.4, f"{_RAPID}586"),
    Published("qwen3-8b", None, "M3 Ultra 60-core 256GB", "mlx-lm", 112.9, f"{_RAPID}636"),
    Published("qwen3-4b", None, "M3 Pro 18GB", "mlx-lm", 44.6, f"{_MLX_LM}pull/1569", 2048),
    Published("qwen3-30b", None, "M3 Max 64GB", "mlx-lm", 68.0, f"{_MLX_LM}issues/92", 700),
    Published("gpt-oss-120b", None, "M4 Max 128GB", "exo", 80, _EXO_2070),
    Published("gpt-oss-120b", None, "M5 Max 128GB", "exo", 89, _EXO_2070),
    Published("qwen3-235b", "8", "M3 Ultra 512GB", "exo", 19.5, _GEERLING),
    Published("deepseek-v3.1", None, "M3 Ultra 512GB", "exo", 21.1, _GEERLING),
    Published("deepseek-v3.1", None, "M3 Ultra 512GB", "llama.cpp", 20.2, _CLUSTER),
    Published("gpt-oss-120b", None, "M5 Max 128GB + M4 Max 128GB", "exo, pipeline", 68, _EXO_2070),
    Published("gpt-oss-120b", None, "2 x M5 Max 128GB", "exo, pipeline", 68, _EXO_2070),
    Published("qwen3-235b", "8", "2 x M3 Ultra 512GB", "llama.cpp RPC", 17.2, _GEERLING),
    Published("qwen3-235b", "8", "2 x M3 Ultra 512GB + 2 x M3 Ultra 256GB", "llama.cpp RPC", 15.2, _GEERLING),
    Published("deepseek-v3.1", None, "2 x M3 Ultra 512GB", "llama.cpp RPC", 16.0, _GEERLING),
    Published(
        "deepseek-v3.1", None, "2 x M3 Ultra 512GB + 2 x M3 Ultra 256GB", "llama.cpp RPC", 14.6, _GEERLING
    ),
    Published("kimi-k2", None, "2 x M3 Ultra 512GB", "llama.cpp RPC", 18.5, _GEERLING),
    Published("kimi-k2", None, "2 x M3 Ultra 512GB + 2 x M3 Ultra 256GB", "llama.cpp RPC", 16.4, _GEERLING),
    Published("qwen3-4b", None, "M3 Pro 18GB", "mlx-lm", 615, f"{_MLX_LM}pull/1569", 2048, is_prefill=True),
    Published("qwen3-30b", None, "M4 Max 128GB", "mlx-lm", 1732, f"{_MLX_LM}pull/406", 2048, is_prefill=True),
    Published(
        "gpt-oss-20b", "4", "M4 Max 128GB", "mlx-lm", 1589, f"{_MLX_LM}pull/406", 2048, is_prefill=True
    ),
    Published("deepseek-v3.1", None, "M3 Ultra 512GB", "llama.cpp", 159.6, _CLUSTER, 4096, is_prefill=True),
)


def estimate(figure: Published) -> float:
    """What a plan on paper says, in tokens a second."""
    entry = find_entry(figure.model)
    assert entry is not None
    precision = parse_precision(figure.quant) if figure.quant else entry.precision
    wanted = Wanted(figure.tokens, readers=1, spread=figure.stages, chunk_tokens=2048, chunk_s=0.25)
    peers = peers_of(read_machines([figure.machines]), LINKS["tb5"])
    made = make_plan(sketch(entry.name, entry.config, precision), peers, wanted)
    assert isinstance(made, PaperPlan), made
    tok_s = made.prefill_tok_s if figure.is_prefill else made.decodes[0].tok_s
    assert tok_s is not None
    return tok_s


def table() -> str:
    """All of it in Markdown."""
    rows = ["| | model | on | published | estimated | × | by |", "|---|---|---|---|---|---|---|"]
    for figure in PUBLISHED:
        tok_s = estimate(figure)
        kind = "prefill" if figure.is_prefill else "decode"
        bits = f" {figure.quant}-bit" if figure.quant else ""
        rows.append(
            f"| {kind} | {figure.model}{bits} | {figure.machines} | {_text(figure.tok_s)} | {_text(tok_s)} "
            f"| {tok_s / figure.tok_s:.2f} | [{figure.engine}]({figure.source}) |"
        )
    return "\n".join(rows)


def _text(tok_s: float) -> str:
    return f"{tok_s:.1f}" if tok_s < 100 else f"{tok_s:,.0f}"


if __name__ == "__main__":
    print(table())
