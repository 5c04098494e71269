"""The reference project in YAML: the channel is in `channels/plant.yaml`.

    pichannels start --settings examples/yaml

It does the same as `settings.py` at the top, which is all Python; tests hold both
to the same outputs.
"""

from __future__ import annotations

import os
from pathlib import Path

here = Path(__file__).parent

PROJECT_NAME = "plant"
DATA_DIR = here / ".pichannels"
SIMULATOR = {
    "port": int(os.environ.get("SIMULATOR_PORT", "8500")),
    "tags": 1000,
    "seed": 1,
}

CHANNELS = ["channels/*.yaml"]
