"""A corpus or a model on the Hugging Face hub, with what is said about it.

The upload is `huggingface_hub`'s: it finds the token where all its tools do, and sends only files
that the hub does not have yet. Nothing of ours reads the token, so nothing can write it anywhere.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.corpus.card import CARD, STATS
from webtext.pipeline.corpus.croissant import FILE as CROISSANT
from webtext.pipeline.urls.forgotten import recorded

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

REPO = re.compile(r"[\w.-]+/[\w.-]+")
OURS = {  # files that a push replaces as a whole
    "dataset": re.compile(r"\d{5}\.parquet"), "model": re.compile(r"[^/]*\.safetensors"),
}  # fmt: skip
LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
WEIGHTS = "*.safetensors"
CONFIG = "config.json"


class Parts(NamedTuple):
    """What becomes a repository."""

    kind: str  # as the hub calls it: "dataset" or "model"
    files: list[Path]  # each goes to the top of the repository
    made: dict[str, str]  # texts that are made for it, by their names


def push(folder: Path, repo: str, public: bool = False) -> str:
    """Put a corpus or an exported model on the hub; return its address.

    A new repository is private unless `public`; one that exists stays so, and loses the shards or
    weights of an earlier push that are no more.

    Raises:
        UserError: it is neither, or not whole, or holds what its owner asked to leave out; or the
            hub refuses it.
    """
    check(repo)
    parts = parts_of(folder)

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = HfApi()
    added = [CommitOperationAdd(path.name, str(path)) for path in parts.files]
    added += [CommitOperationAdd(name, text.encode()) for name, text in parts.made.items()]
    sent = {operation.path_in_repo for operation in added}
    try:
        place = hub.create_repo(repo, repo_type=parts.kind, private=not public, exist_ok=True)
        # Shards of an earlier push would be read beside these: rows twice, or forgotten ones.
        gone = [
            CommitOperationDelete(name)
            for name in hub.list_repo_files(repo, repo_type=parts.kind)
            if OURS[parts.kind].fullmatch(name) and name not in sent
        ]
        hub.create_commit(
            repo,
            [*added, *gone],
            commit_message=f"Add {folder.name}, by webtext",
            repo_type=parts.kind,
        )
    except HFValidationError as error:
        raise UserError(f"{repo}: {error}") from None
    except HfHubHTTPError as error:
        raise UserError(f"{repo}: {refusal(error)}") from None
    except Exception as error:
        # RuntimeError: a file was not taken. The network's errors are of httpx, or of httpx2.
        plain = isinstance(error, (OSError, ValueError, RuntimeError))
        if not plain and not type(error).__module__.startswith("httpx"):
            raise
        why = f"{error} {error.__cause__ or ''}".strip()
        raise UserError(f"{repo}: {hub.endpoint}: {why}; the same command goes on") from None
    return str(place)


def check(repo: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        UserError: it is none.
    """
    if not REPO.fullmatch(repo):
        raise UserError(f"{repo}: wanted a repository as OWNER/NAME")


def refusal(error: "HfHubHTTPError") -> str:
    """Say why the hub refused something, and what to do."""
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return f"the hub does not let you write there (status {status}): {LOGIN}"
    said = error.server_message or str(error).splitlines()[0]
    return f"the hub answered {said}; what was sent is kept, and the same command goes on"


def parts_of(folder: Path) -> Parts:
    """Return what of a directory is put on the hub.

    Of a corpus: its shards, card, statistics and Croissant metadata, all in one folder. Its
    manifest names files and settings of this machine, and stays here.

    Raises:
        UserError: see `push`.
    """
    found = Directory(folder.resolve())  # what is forgotten is noted beside the real one
    if found.whole and found.manifest().get("stage") == "corpus":
        check_forgotten(found)
        about = [found.about / name for name in (CARD, STATS, CROISSANT)]
        return Parts("dataset", [*found.shards(), *(path for path in about if path.exists())], {})
    if (folder / CONFIG).is_file() and (weights := sorted(folder.glob(WEIGHTS))):
        others = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt"))
        card = folder / CARD
        files = [*weights, *others, *([card] if card.exists() else [])]
        return Parts("model", files, {} if card.exists() else {CARD: model_card(folder)})
    raise UserError(
        f"{folder}: neither a whole corpus nor a model; wanted the directory that `webtext path "
        "corpus` prints, or one that `webtext export` has written"
    )


def check_forgotten(corpus: Directory) -> None:
    """Refuse a corpus with pages that are to be left out since it was made.

    Raises:
        UserError: it has some.
    """
    forgotten = recorded(corpus.path.parent)
    if forgotten and (count := sum(forgotten(*pair) for pair in addresses(corpus))):
        raise UserError(
            f"{corpus}: {count:,} of its documents are to be left out (`webtext forget`); build it "
            "again, then push"
        )


def addresses(corpus: Directory) -> Iterator[tuple[str | None, str | None]]:
    """Yield the URL of each document, and the one to which it was redirected."""
    for path in corpus.shards():
        for batch in read_batches(path, ["url", "final_url"], rows=1 << 16):
            yield from zip(batch["url"].to_pylist(), batch["final_url"].to_pylist(), strict=True)


def model_card(folder: Path) -> str:
    """Return the card of a model that has none: what it is, how to load it, and what is not known.

    Raises:
        UserError: its configuration cannot be read.
    """
    try:
        told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        sizes = ", ".join(
            f"{told[key]} {words}"
            for key, words in (("n_layer", "layers"), ("n_head", "heads"), ("n_embd", "wide"),
                               ("n_positions", "tokens of context"), ("vocab_size", "tokens known"))
            if key in told
        )  # fmt: skip
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder / CONFIG}: cannot be read: {error}") from None
    return (
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- webtext\n---\n\n"
        f"# {folder.name}\n\nA {told.get('model_type', 'language')} model: {sizes}. "
        "Trained by webtext."
        "\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("THIS-REPOSITORY")\n```\n\n'
        "It writes what is likely after the texts that it was trained on, true or not, and repeats "
        "some of them. Nobody has tested it for any use.\n"
    )
