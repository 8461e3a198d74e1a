"""How a plan on paper is told to a person: memory, speed, and what both are made of."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from meshinfer.model.base import Sketch
from meshinfer.paper import speed
from meshinfer.paper.peers import PaperPeer
from meshinfer.paper.plan import Decode, PaperPlan, Wanted
from meshinfer.paper.remedies import Remedies
from meshinfer.topology.draw.figure import layers_text
from meshinfer.topology.shortfall import HINT

from .amounts import size_text
from .mesh_table import print_drawing
from .terminal import Terminal, Tone

_BILLION = 1e9


def show_plan(terminal: Terminal, plan: PaperPlan, peer_count: int, origin: str) -> None:
    """Print a plan: the model, a table of its stages, context and speed, and the formulas' inputs."""
    for line in _headline(plan.sketch, origin):
        terminal.say(line)
    spare = peer_count - len(plan.stages)
    without = f"; {spare} of {peer_count} would make it no faster" if spare else ""
    terminal.say(f"ring {' → '.join(_seat(plan, index) for index in range(len(plan.stages)))}{without}")
    terminal.say("")
    print_drawing(terminal.console(), _stage_table(plan))
    terminal.say("")
    terminal.say(_context_text(plan))
    for decode in plan.decodes:
        terminal.say(_decode_text(plan, decode))
    terminal.say(_prefill_text(plan))
    terminal.say("")
    for line in _inputs(plan):
        terminal.say(line, Tone.DIM)


def show_remedies(
    terminal: Terminal,
    sketch: Sketch,
    peers: Sequence[PaperPeer],
    wanted: Wanted,
    remedies: Remedies,
    reason: str,
) -> None:
    """Print why a model does not fit, and what would."""
    for line in _headline(sketch, ""):
        terminal.say(line)
    terminal.say(reason.removesuffix(HINT), Tone.ERROR)
    for text in _taken_texts(peers):
        terminal.say(text, Tone.DIM)
    offers = [text for text in _offers(sketch, wanted, remedies) if text]
    terminal.say("what would fit:" if offers else "nothing near it would fit: take a smaller model")
    for text in offers:
        terminal.say(f"  {text}")


def _offers(sketch: Sketch, wanted: Wanted, remedies: Remedies) -> list[str]:
    coarser, like = remedies.coarser, remedies.like
    readers = f" for each of {wanted.readers} readers" if wanted.readers > 1 else ""
    return [
        f"nothing beside it: unload {', '.join(remedies.without)}" if remedies.without else "",
        f"coarser weights: {coarser.card.precision}, {size_text(coarser.card.total_bytes)}"
        if coarser
        else "",
        f"less context: {remedies.context_tokens:,} of {wanted.context_tokens:,} tokens{readers}"
        if remedies.context_tokens
        else "",
        f"more memory: {remedies.more_peers} more like {like.name}, of {size_text(like.memory_bytes)}"
        if like and remedies.more_peers
        else "",
    ]


def _headline(sketch: Sketch, origin: str) -> list[str]:
    card = sketch.card
    source = f" ({origin})" if origin else ""
    parameters = f"{sketch.parameters / _BILLION:,.1f} billion parameters"
    if sketch.expert_count > 1:
        active = f"{sum(sketch.layer_parameters) / _BILLION:,.1f} billion"
        parameters += f", of which a token goes through {active}"
        parameters += f" ({sketch.experts_chosen} of {sketch.expert_count} experts)"
    size = f"in {card.precision} {size_text(card.total_bytes)}"
    return [f"{card.name}{source}: {size}, {card.layer_count} layers", parameters]


def _seat(plan: PaperPlan, index: int) -> str:
    stage = plan.stages[index]
    return f"{stage.peer.name} {layers_text(stage.first_layer, stage.end_layer)}"


def _stage_table(plan: PaperPlan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    titles = ("peer", "layers", "offers", "weights", "KV cache", "prompts", "rest", "token reads", "step")
    for title in titles:
        table.add_column(title, no_wrap=title != "peer", overflow="fold")
    for stage in plan.stages:
        table.add_row(
            stage.peer.name,
            layers_text(stage.first_layer, stage.end_layer),
            size_text(stage.peer.memory_bytes),
            size_text(stage.weight_bytes),
            size_text(stage.kv_bytes),
            size_text(stage.transient_bytes),
            size_text(stage.rest_bytes),
            size_text(stage.read_bytes),
            _ms(stage.step_s),
        )
    return table


def _context_text(plan: PaperPlan) -> str:
    wanted, most = plan.wanted, plan.sketch.card.context_tokens
    each = "each reader" if wanted.readers > 1 else "one reader"
    planned = min(wanted.context_tokens, most)
    longest = min(plan.fitting_tokens // wanted.readers, most)
    whose = ", the most that the model takes" if longest == most else ""
    return f"context: {planned:,} tokens for {each} are planned; {longest:,} would fit{whose}"


def _decode_text(plan: PaperPlan, decode: Decode) -> str:
    if decode.readers > 1:
        lanes = f"in {decode.lanes} lane{'s' if decode.lanes > 1 else ''}"
        return f"decode: {_rate(decode.tok_s)} tokens/s for {decode.readers} readers together, {lanes}"
    compute_s = sum(stage.step_s for stage in plan.stages)
    return (
        f"decode: {_rate(decode.tok_s)} tokens/s for one reader: {_ms(compute_s)} of computing and "
        f"{_ms(plan.hops_s)} of hops a token"
    )


def _prefill_text(plan: PaperPlan) -> str:
    if plan.prefill_tok_s is None or plan.first_token_s is None:
        return (
            "prefill: not estimated: peers do not tell how fast their GPUs multiply; list machines with --on"
        )
    tokens = min(plan.wanted.context_tokens, plan.sketch.card.context_tokens)
    return (
        f"prefill: {_rate(plan.prefill_tok_s)} tokens/s; a prompt of {tokens:,} has its first token after "
        f"{plan.first_token_s:.1f} s, in chunks of {plan.chunk_tokens:,}"
    )


def _inputs(plan: PaperPlan) -> list[str]:
    """What the estimates are made of, for those who know better."""
    peers = {_kind(stage.peer): stage.peer for stage in plan.stages}
    lines = [line for peer in peers.values() for line in _peer_inputs(plan.sketch, peer)]
    if any(peer.machine is None for peer in peers.values()):
        return [*lines, "measured with what the mesh runs now", *_taken_texts(peers.values())]
    return [
        *lines,
        f"step = bytes read / ({speed.DECODE_SHARE:.0%} of the bandwidth) + "
        f"{speed.starting_s(plan.sketch) * 1e3:.1f} ms to start all layers' kernels",
        f"prefill = 2 × parameters of a token / ({speed.PREFILL_SHARE:.0%} of the TFLOPs)",
        "a machine offers three quarters of its memory; `meshinfer join --memory` can give more",
    ]


def _kind(peer: PaperPeer) -> str:
    return peer.machine.name if peer.machine else peer.name


def _peer_inputs(sketch: Sketch, peer: PaperPeer) -> list[str]:
    if peer.machine is None:
        if peer.measured_ns:
            rate_gb_s = (1 << 20) / peer.measured_ns
            return [f"{peer.name}: measured {rate_gb_s:.3g} GB/s of what a token reads"]
        return [f"{peer.name}: not measured yet, it counts as fast as the others"]
    chip, rate_gb_s = peer.machine.chip, (1 << 20) / speed.ns_per_mib(sketch, peer.machine)
    return [
        f"{peer.machine.name}: {chip.bandwidth_gb_s:g} GB/s, of which {rate_gb_s:.0f} with this model; "
        f"{chip.tflops:g} TFLOPs",
        f"  {chip.source}",
    ]


def _taken_texts(peers: Iterable[PaperPeer]) -> list[str]:
    return [
        f"{peer.name} offers {size_text(each.size_bytes)} less while the mesh runs {each.model}"
        for peer in peers
        for each in peer.taken
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _rate(tok_s: float) -> str:
    return f"{tok_s:.1f}" if tok_s < 100 else f"{tok_s:,.0f}"
