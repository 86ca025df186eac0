"""Where the data lie that tests read."""

import os
from pathlib import Path

SAMPLES = Path(__file__).parent
# All of the real data, which developers may have beside the checkout, or wherever they say.
WHOLE = Path(os.environ.get("WEBTEXT_REALDATA") or SAMPLES.parents[2] / "shared" / "data")
AT_HAND = WHOLE if WHOLE.is_dir() else SAMPLES
