"""The commands by name. What they need is imported when they run, so that `--help` is quick."""

from typing import Annotated

import typer

from meshinfer.release import RELEASE

from . import chat, demo, doctor, drain, join, key, leave, load, models, plan, topology, trace, unload
from .bench import command as bench

# Plain help: drawing boxes around it takes four times as long as everything else.
app = typer.Typer(
    name="meshinfer",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"meshinfer {RELEASE}")
        raise typer.Exit


@app.callback()
def meshinfer(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and exit."),
    ] = False,
) -> None:
    """One large language model, run over several machines, with no coordinator."""


app.command(epilog=join.EXAMPLES)(join.join)
app.command(epilog=demo.EXAMPLES)(demo.demo)
app.command(epilog=chat.EXAMPLES)(chat.chat)
app.command(epilog=topology.EXAMPLES)(topology.topology)
app.command(epilog=models.EXAMPLES)(models.models)
app.command(epilog=load.EXAMPLES)(load.load)
app.command(epilog=unload.EXAMPLES)(unload.unload)
app.command(epilog=plan.EXAMPLES)(plan.plan)
app.command(epilog=bench.EXAMPLES)(bench.bench)
app.command(epilog=trace.EXAMPLES)(trace.trace)
app.command(epilog=drain.EXAMPLES)(drain.drain)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.command(epilog=leave.EXAMPLES)(leave.leave)
app.add_typer(key.app, name="key", epilog=key.EXAMPLES)
