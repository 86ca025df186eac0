"""The inspector of a build that lies in an object store."""

import json

import pytest
from starlette.testclient import TestClient

from tests.flows.inspector.conftest import PORT, SECRET
from tests.other_stores import KINDS
from webtext.flows.inspector.app import make_app
from webtext.flows.inspector.gate import FIELD, Gate
from webtext.flows.inspector.reading.cache import FOLDER, opened
from webtext.flows.inspector.reading.search_index import make
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.data_directory import newest
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.working_copy import working_copy


def uploaded(data, store) -> None:
    """Put the steps of a build into a store, as their uploads leave them there."""
    names = set(json.loads((data / "latest.json").read_text()).values())
    for path in data.rglob("*"):
        parts = path.relative_to(data).parts
        if path.is_file() and (names & set(parts[:2]) or path.name == "latest.json"):
            store.put("/".join(parts), path.read_bytes())


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


def test_its_pages_are_those_of_the_local_build_and_what_they_need_is_fetched(built, client, cloud):
    store = ObjectStore(parse(f"{cloud.place()}/data"))
    uploaded(built, store)
    data = working_copy(str(store.address))
    assert not list(data.rglob("*.parquet"))
    table = opened(Build(None, data).made(), data / FOLDER)
    app = make_app(data, table, data / FOLDER)
    make(app.state.search.documents, app.state.search.path)
    there = TestClient(Gate(app, PORT, SECRET), base_url=f"http://127.0.0.1:{PORT}")
    assert there.get("/", params={FIELD: SECRET}).status_code == 200
    (first,) = table.ask("SELECT id FROM documents ORDER BY id LIMIT 1").fetchone()
    for path in ("/", f"/document/{first}", "/funnel", "/?q=zebra"):
        here, found = client.get(path), there.get(path)
        assert (found.status_code, here.status_code) == (200, 200), path
        if path.startswith("/document/"):
            assert found.text.partition("<main")[2] == here.text.partition("<main")[2] != ""
    fetched = {path.parent.name for path in data.rglob("*.parquet")}
    assert newest(data)["documents"].name in fetched
