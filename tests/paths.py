"""Where things lie: the repository, and the folder of real data and schemas that may stand beside it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DATA = Path(os.environ.get("LORETTA_TEST_DATA", SHARED / "data"))
