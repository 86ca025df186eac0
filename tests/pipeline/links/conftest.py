"""What the tests of links share."""

from pathlib import Path

import pytest

from tests.pipeline.links import eras


@pytest.fixture(scope="session")
def dumps_of_all_eras(real, tmp_path_factory) -> Path:
    """The folder of real dumps that developers have, or else of made-up ones, under their names."""
    folder = real / "links"
    if (folder / "RS_2005-07.zst").is_file():
        return folder
    return eras.make(tmp_path_factory.mktemp("eras") / "links")
