"""Who does what a peer is asked for, once its actors are there to be asked."""

from dataclasses import dataclass

from .asking import Asking
from .composition import Composition
from .explaining import Explainer
from .key_change import KeyChange
from .loading import ModelDoor
from .lookout import Lookout
from .premises import Premises
from .reports import Reports
from .served import ServedModels


@dataclass(frozen=True, slots=True)
class Services:
    """One object for each duty.

    lookout: shows mesh and peer. door: loads and unloads models. models: finds those that can answer. asking:
    answers. keys: changes the mesh's key. explainer: says why things are as they are.
    """

    lookout: Lookout
    door: ModelDoor
    models: ServedModels
    asking: Asking
    keys: KeyChange
    explainer: Explainer


def take_up(premises: Premises, parts: Composition, reports: Reports, api_url: str) -> Services:
    """Make them; each gets those of the actors' mailboxes that it needs."""
    config, lives = premises.config, premises.lives
    lookout = Lookout(reports, lives=lives, address=premises.address, api_url=api_url, cut_off=parts.cut_off)
    door = ModelDoor(parts, lookout.snapshot, lookout.watch)
    models = ServedModels(
        reports.board, door, config.requests, is_load_on_use_allowed=config.is_load_on_use_allowed
    )
    asking = Asking(
        models=models,
        texts=premises.texts,
        requests=parts.requests,
        ledger=reports.ledger,
        limits=config.requests,
        next_session=lives.next_session,
    )
    explainer = Explainer(
        peer=lives.peer,
        planner=config.plan,
        board=reports.board,
        ledger=reports.ledger,
        placement=parts.placement,
        tracing=parts.tracing,
    )
    return Services(
        lookout, door, models, asking, KeyChange(premises.guard.keeper, parts.rotation), explainer
    )
