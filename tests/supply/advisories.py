"""Weaknesses that were published of what this project needs, as far as they were known when this was written.

So that a machine without a network still refuses what is known to be weak; `make audit` asks for what has
become known since. Each row: the distribution, the versions that have it, and its name among all (CVE).
"""

from packaging.specifiers import SpecifierSet

ADVISORIES = (
    ("certifi", "<2024.7.4", "CVE-2024-39689"),
    ("cryptography", "<44.0.1", "CVE-2024-12797"),
    ("cryptography", "<46.0.5", "CVE-2026-26007"),
    ("fastapi", "<0.109.1", "CVE-2024-24762"),
    ("filelock", "<3.20.1", "CVE-2025-68146"),
    ("filelock", "<3.20.3", "CVE-2026-22701"),
    ("h11", "<0.16", "CVE-2025-43859"),
    ("idna", "<3.7", "CVE-2024-3651"),
    ("jinja2", "<3.1.6", "CVE-2025-27516"),
    ("mlx", "<0.29.4", "CVE-2025-62608"),
    ("mlx", "<0.29.4", "CVE-2025-62609"),
    ("protobuf", "<6.31.1", "CVE-2025-4565"),
    ("protobuf", "<6.33.5", "CVE-2026-0994"),
    ("pygments", "<2.15", "CVE-2022-40896"),
    ("pyyaml", "<5.4", "CVE-2020-14343"),
    ("requests", "<2.32.4", "CVE-2024-47081"),
    ("sentencepiece", "<0.2.1", "CVE-2026-1260"),
    ("starlette", "<0.47.2", "CVE-2025-54121"),
    ("starlette", "<0.49.1", "CVE-2025-62727"),
    ("tqdm", "<4.66.3", "CVE-2024-34062"),
    ("transformers", "<4.53", "CVE-2025-6921"),
    ("urllib3", "<2.5", "CVE-2025-50181"),
    ("urllib3", "<2.6", "CVE-2025-66418"),
    ("urllib3", "<2.6.3", "CVE-2026-21441"),
    ("uvicorn", "<0.11.7", "CVE-2020-7694"),
    ("werkzeug", "<3.1.5", "CVE-2026-21860"),
)


def weaknesses(name: str, version: str) -> list[str]:
    """What is known against one version of a distribution. name: in canonical form."""
    return [
        f"{name} {version}: {cve}"
        for weak, versions, cve in ADVISORIES
        if weak == name and SpecifierSet(versions).contains(version, prereleases=True)
    ]
