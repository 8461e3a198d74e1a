"""Each peer in turn leaves and is started again, under readers of whom nobody may notice."""

import time

from tests.mesh.chaos.readers import Readers
from tests.mesh.chaos.setting import Setting
from tests.mesh.chaos.soak import Soaked, rested
from tests.mesh.chaos.told import Told
from tests.mesh.chaos.vitals import Watch
from tests.simulation.chance import Chance


def roll(around: Setting, size: int, *, seed: int, clients: int, told: Told) -> Soaked:
    """Restart all peers of a ring of `size`, one after the other."""
    begun_s = time.monotonic()
    truths = around.all_truths()
    with around.mesh(size) as mesh:
        watch = Watch()
        rolled = Soaked(Readers(mesh, truths, clients, Chance(seed)))
        rolled.wrong += watch.begin(mesh.present.values())
        with rolled.readers:
            for name in list(mesh.present):
                asked_s = time.monotonic()
                mesh.ask_to_leave(name)
                mesh.wait_until_left(name)
                left_s = time.monotonic()
                mesh.start(name)
                settled = mesh.settle()
                spent = f"left in {left_s - asked_s:.1f} s, one ring {settled.after_s:.1f} s later"
                told.show(f"{name} {spent}")
                rolled.wrong += watch.begin(mesh.present.values())
                if settled.wrong or settled.left_out:
                    rolled.wrong.append(settled.wrong or f"{name}: left out is {', '.join(settled.left_out)}")
                    break
        rolled.wrong += rested(mesh, watch, mesh.settle())
        rolled.vitals = watch.lines(mesh.present.values())
        if rolled.has_failed:
            told.keep_logs(f"rolling-{seed}", mesh, begun_s)
    return rolled
