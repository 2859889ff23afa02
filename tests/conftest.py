"""What every test shares: an environment that is nobody's, and golden files in the top-level folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before Textual or Rich is imported anywhere: they read these once.
for _name in ("NO_COLOR", "FORCE_COLOR", "TEXTUAL_THEME", "TEXTUAL_FILTERS", "LINES", "COLUMNS"):
    os.environ.pop(_name, None)
os.environ["TEXTUAL_ANIMATIONS"] = "none"
for _name in [name for name in os.environ if name.startswith("QUDAG_")]:
    del os.environ[_name]

# The same examples in every run, and no verdict that depends on how busy the machine is.
settings.register_profile(
    "house", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME with its own XDG directories."""
    directory = tmp_path / "home"
    for name, sub in {
        "HOME": ".",
        "XDG_DATA_HOME": ".local/share",
        "XDG_CONFIG_HOME": ".config",
        "XDG_RUNTIME_DIR": "run",
    }.items():
        path = (directory / sub).resolve()
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        monkeypatch.setenv(name, str(path))
    return directory
