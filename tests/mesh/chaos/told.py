"""What a run tells while it goes on, and the logs that it leaves behind when it fails."""

from dataclasses import dataclass
from pathlib import Path

from tests.mesh.chaos.logs import write_logs
from tests.mesh.chaos.mesh import ChaosMesh


@dataclass(frozen=True, slots=True)
class Told:
    """logs: the folder that takes the peers' logs of what failed, and of the last run if it is verbose."""

    logs: Path
    is_verbose: bool = False

    def show(self, text: str) -> None:
        """Tell a detail."""
        if self.is_verbose:
            print(f"  {text}", flush=True)

    def keep_logs(self, name: str, mesh: ChaosMesh, begun_s: float) -> None:
        """Write down what all peers of a mesh said, those that are gone included."""
        folder = self.logs / name
        write_logs([*mesh.ended, *mesh.leaving.values(), *mesh.present.values()], folder, begun_s)
        print(f"  logs: {folder}", flush=True)
