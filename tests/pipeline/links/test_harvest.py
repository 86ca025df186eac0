import hashlib
import json
import os
from datetime import date

import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.links.links import fingerprint, resolve
from webtext.pipeline.links.settings import LISTS, Harvest
from webtext.pipeline.urls import named_lists


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"merge": "mean"}, "links.merge = 'mean': wanted one of max, sum, each"),
        (
            {"lists": ("domain",)},
            r"links.lists has \['domain'\]: wanted some of domains, extensions",
        ),
        ({"shards": 0}, "links.shards = 0: wanted 1 or more"),
        ({"max_url_length": 3}, "links.max_url_length = 3: wanted 20 or more"),
        ({"after": date(2018, 1, 1), "before": date(2018, 1, 1)}, "leave no day between"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Harvest(**fields)


def test_sources_are_found_by_path_and_glob_each_once(tmp_path):
    for name in ("b/RS_2.zst", "a/RS_3.zst", "a/x[1].txt", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = resolve(["**/RS_*.zst", "a/RS_3.zst", "a/x[1].txt", str(tmp_path / "c.txt")], tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["b/RS_2.zst", "a/RS_3.zst", "c.txt", "a/x[1].txt"]
    with pytest.raises(UserError, match=r"links.sources: no file matches 'RC_\*' \(looked in "):
        resolve(["c.txt", "RC_*"], tmp_path)
    with pytest.raises(UserError, match=r"links\.sources is empty"):
        resolve([], tmp_path)


def test_a_directory_or_a_pipe_is_no_source(tmp_path):
    (tmp_path / "dumps").mkdir()
    os.mkfifo(tmp_path / "pipe")
    message = r"links\.sources: 'dumps' is a directory; wanted files: .* such as 'dumps/\*\.zst'"
    with pytest.raises(UserError, match=message):
        resolve(["dumps"], tmp_path)
    message = r"links\.sources: 'pipe' is a pipe or device, .*; wanted a file: write it to one"
    with pytest.raises(UserError, match=message):
        resolve(["pipe"], tmp_path)


def test_a_source_is_known_by_its_name_size_and_content(tmp_path):
    first = tmp_path / "a" / "dump"
    first.parent.mkdir()
    first.write_bytes(b"0123456789")
    [before] = fingerprint([first])
    moved = first.rename(tmp_path / "dump")
    assert fingerprint([moved]) == [before]
    for data in (b"012345678X", b"X123456789", b"01234X6789", b"01234567899"):
        moved.write_bytes(data)
        assert fingerprint([moved]) != [before]


@pytest.mark.parametrize("size", [1 << 20, (1 << 21) - 5])
def test_a_small_source_is_known_as_it_always_was(tmp_path, size):
    """Otherwise the directories that were made of it would have other names."""
    data = bytes(n % 251 for n in range(1 << 10)) * (1 << 11)
    (tmp_path / "dump").write_bytes(data := data[:size])
    found = hashlib.sha256(data[: 1 << 20] + data[-(1 << 20) :]).hexdigest()
    assert fingerprint([tmp_path / "dump"]) == [{"name": "dump", "bytes": size, "sha256": found}]


@pytest.mark.parametrize(("size", "piece"), [(3 << 20, 1), (66 << 20, 2 << 20)])
@pytest.mark.parametrize("part", [0.4, 0.5, 0.6])
def test_a_download_that_had_its_size_before_its_content_is_another_source(
    tmp_path, size, piece, part
):
    """As some write them: holes, which are filled piece by piece and not always in order."""
    path = tmp_path / "dump"
    with path.open("wb") as file:
        file.truncate(size)
        file.flush()
        [before] = fingerprint([path])
        file.seek(int(size * part))
        file.write(b"x" * piece)
    assert fingerprint([path]) != [before]


def test_a_changed_list_raises_the_version():
    found = hashlib.sha256()
    for name in (*LISTS, "tracking"):
        names = sorted(named_lists.read_names(f"{name}.txt"))
        found.update(json.dumps([name, names]).encode())
    expected = (5, "cc07acd5c5ab6127")
    assert (Harvest.version, found.hexdigest()[:16]) == expected, (
        "a list decides otherwise now: raise its version, and that of Harvest, and this pin"
    )


def test_a_pattern_matches_in_a_folder_whose_name_looks_like_one(tmp_path):
    base = tmp_path / "x[1]"
    base.mkdir()
    for name in ("a.zst", "b.zst", "c.txt"):
        (base / name).touch()
    files = [base / "a.zst", base / "b.zst"]
    assert resolve(["*.zst"], base) == files
    assert resolve(["../x[[]1]/*.zst", "a.zst"], base)[0].samefile(files[0])
    assert resolve([str(files[1]), f"{tmp_path}/*/a.zst"], tmp_path) == files
    with pytest.raises(UserError, match=r"no file matches '\*\.gz' \(looked in .*x\[1\]\)"):
        resolve(["*.gz"], base)
