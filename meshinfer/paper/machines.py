"""Machines that mlx runs on: memory, bandwidth, and how fast their GPUs multiply.

Where the numbers come from:

- **Memory sizes and bandwidth are published** by the makers, on the page that `source` names.
- **Bandwidth of chips with fewer GPU cores** is from the same pages where they tell (M3 Max, M4 Max, M5 Max).
- **TFLOPs of Apple's GPUs are estimated** but for M1 (2.6), M1 Pro (5.2), M1 Max (10.4), M1 Ultra (21) and
  M2 (3.6), which Apple's pages state: 128 multiply-adds a core and clock, at the clocks that third parties
  measured (github.com/philipturner/metal-benchmarks for M1 and M2; 1.4 GHz for M3, 1.58 for M4). Products of
  16-bit numbers are no faster there than those of 32-bit ones.
- **M5's** multiply in units of their own in each core; Apple says "over 4x the peak GPU compute for AI" of
  M4, and four times is what is counted.
- **NVIDIA's** are dense 16-bit products with 32-bit sums, from NVIDIA's architecture papers; for DGX Spark an
  eighth of the published petaflop, which counts 4-bit numbers and sparse matrices.
"""

import difflib
import re
from dataclasses import dataclass

_APPLE = "https://www.apple.com/newsroom/"
_M1 = f"{_APPLE}2020/11/apple-unleashes-m1/"
_M1_PRO = f"{_APPLE}2021/10/introducing-m1-pro-and-m1-max-the-most-powerful-chips-apple-has-ever-built/"
_M1_ULTRA = f"{_APPLE}2022/03/apple-unveils-m1-ultra-the-worlds-most-powerful-chip-for-a-personal-computer/"
_M2 = f"{_APPLE}2022/06/apple-unveils-m2-with-breakthrough-performance-and-capabilities/"
_M2_PRO = f"{_APPLE}2023/01/apple-unveils-m2-pro-and-m2-max-next-generation-chips-for-next-level-workflows/"
_M2_ULTRA = f"{_APPLE}2023/06/apple-introduces-m2-ultra/"
_M3 = f"{_APPLE}2023/10/apple-unveils-m3-m3-pro-and-m3-max-the-most-advanced-chips-for-a-personal-computer/"
_M3_ULTRA = f"{_APPLE}2025/03/apple-reveals-m3-ultra-taking-apple-silicon-to-a-new-extreme/"
_M4 = f"{_APPLE}2024/05/apple-introduces-m4-chip/"
_M4_PRO = f"{_APPLE}2024/10/apple-introduces-m4-pro-and-m4-max/"
_M5 = f"{_APPLE}2025/10/apple-unleashes-m5-the-next-big-leap-in-ai-performance-for-apple-silicon/"
_M5_PRO = f"{_APPLE}2026/03/apple-debuts-m5-pro-and-m5-max-to-supercharge-the-most-demanding-pro-workflows/"
_SPARK = "https://www.nvidia.com/en-us/products/workstations/dgx-spark/"
_AMPERE = "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"
_ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
_BLACKWELL = (
    "https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf"
)

_BUDGET_SHARE = 0.75
"""What a peer takes of a machine's memory unless told otherwise, as `machine.memory` does."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A row of the table. gpu_cores: 0 where nobody chooses by them. memory_gib: what is sold with it."""

    name: str
    gpu_cores: int
    memory_gib: tuple[int, ...]
    bandwidth_gb_s: float
    tflops: float
    source: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A chip with so much memory, in GiB."""

    chip: Chip
    memory_gib: int

    @property
    def name(self) -> str:
        """As people write it: `M3 Ultra 512GB`."""
        return f"{self.chip.name} {self.memory_gib}GB"

    @property
    def budget_bytes(self) -> int:
        """What a peer would offer for weights and KV cache."""
        return int((self.memory_gib << 30) * _BUDGET_SHARE)


# Where a size of memory is sold with more than one row of a name, the first one is meant: the full GPU.
CHIPS: tuple[Chip, ...] = (
    Chip("M1", 8, (8, 16), 68.25, 2.6, _M1),
    Chip("M1 Pro", 16, (16, 32), 200, 5.2, _M1_PRO),
    Chip("M1 Max", 32, (32, 64), 400, 10.4, _M1_PRO),
    Chip("M1 Max", 24, (32, 64), 400, 7.8, _M1_PRO),
    Chip("M1 Ultra", 64, (64, 128), 800, 21, _M1_ULTRA),
    Chip("M1 Ultra", 48, (64, 128), 800, 15.8, _M1_ULTRA),
    Chip("M2", 10, (8, 16, 24), 100, 3.6, _M2),
    Chip("M2 Pro", 19, (16, 32), 200, 6.8, _M2_PRO),
    Chip("M2 Max", 38, (32, 64, 96), 400, 13.6, _M2_PRO),
    Chip("M2 Max", 30, (32, 64), 400, 10.7, _M2_PRO),
    Chip("M2 Ultra", 76, (64, 128, 192), 800, 27.2, _M2_ULTRA),
    Chip("M2 Ultra", 60, (64, 128, 192), 800, 21.5, _M2_ULTRA),
    Chip("M3", 10, (8, 16, 24), 100, 3.6, _M3),
    Chip("M3 Pro", 18, (18, 36), 150, 6.4, _M3),
    Chip("M3 Max", 40, (48, 64, 128), 400, 14.3, _M3),
    Chip("M3 Max", 30, (36, 96), 300, 10.7, _M3),
    Chip("M3 Ultra", 80, (96, 256, 512), 819, 28.6, _M3_ULTRA),
    Chip("M3 Ultra", 60, (96, 256), 819, 21.5, _M3_ULTRA),
    Chip("M4", 10, (16, 24, 32), 120, 4.0, _M4),
    Chip("M4 Pro", 20, (24, 48, 64), 273, 8.1, _M4_PRO),
    Chip("M4 Max", 40, (48, 64, 128), 546, 16.2, _M4_PRO),
    Chip("M4 Max", 32, (36,), 410, 12.9, _M4_PRO),
    Chip("M5", 10, (16, 24, 32), 153, 16, _M5),
    Chip("M5 Pro", 20, (24, 48, 64), 307, 32, _M5_PRO),
    Chip("M5 Max", 40, (48, 64, 128), 614, 65, _M5_PRO),
    Chip("M5 Max", 32, (36,), 460, 52, _M5_PRO),
    Chip("DGX Spark", 0, (128,), 273, 125, _SPARK),
    Chip("RTX 3090", 0, (24,), 936, 71, _AMPERE),
    Chip("RTX 4090", 0, (24,), 1008, 165, _ADA),
    Chip("RTX 5090", 0, (32,), 1792, 210, _BLACKWELL),
    Chip("RTX PRO 6000", 0, (96,), 1792, 252, _BLACKWELL),
)

_ASIDE = re.compile(
    r"\b(?:apple|mac\s*studio|mac\s*mini|mac\s*book\s*(?:pro|air)?|mac\s*pro|imac|mac|nvidia|geforce|with|"
    r"unified|memory|ram)\b"
)
_MEMORY = re.compile(r"(?<!\d)(\d{1,4})\s*gi?b?\b")
_CORES = re.compile(r"\b(\d{1,3})[\s-]*(?:gpu[\s-]*)?cores?\b")
_CLOSE = 4
"""Chips that an error names."""


class UnknownMachine(ValueError):
    """A text names no machine of the table; it says which come close."""


def find_machine(text: str) -> Machine:
    """Find the machine that somebody means: `M3 Ultra 512GB`, `mac studio m4max`, `M3 Ultra 60-core 256 GB`.

    Without a size of memory, the largest that is sold.

    Raises:
        UnknownMachine: there is no such chip, or none with so much memory or so many cores.
    """
    rest = text.lower()
    memory, cores = _MEMORY.search(rest), _CORES.search(rest)
    for found in (memory, cores):
        rest = rest.replace(found[0], " ") if found else rest
    chips = [chip for chip in CHIPS if _squeezed(chip.name) == _squeezed(_ASIDE.sub(" ", rest))]
    if not chips:
        raise UnknownMachine(f"unknown machine {text.strip()!r}: {_nearby(rest)}")
    name = chips[0].name
    if cores:
        known = [chip.gpu_cores for chip in chips]
        chips = [chip for chip in chips if chip.gpu_cores == int(cores[1])]
        if not chips:
            raise UnknownMachine(f"{text.strip()!r}: {name} has {_either(known)} GPU cores")
    sizes = sorted({size for chip in chips for size in chip.memory_gib})
    wanted = int(memory[1]) if memory else sizes[-1]
    fitting = [chip for chip in chips if wanted in chip.memory_gib]
    if not fitting:
        raise UnknownMachine(f"{text.strip()!r}: {name} is sold with {_either(sizes)} GB")
    return Machine(fitting[0], wanted)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _nearby(text: str) -> str:
    """What might have been meant, or else where the table is."""
    names = {_squeezed(chip.name): chip.name for chip in CHIPS}
    close = difflib.get_close_matches(_squeezed(_ASIDE.sub(" ", text)), names, n=_CLOSE, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(names[key] for key in close)}?"
    return f"it is none of {', '.join(dict.fromkeys(names.values()))}"


def _either(numbers: list[int]) -> str:
    """`96, 256 or 512`."""
    *before, last = (str(number) for number in numbers)
    return f"{', '.join(before)} or {last}" if before else last
