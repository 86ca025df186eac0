"""Write the tokens of any corpus, without a build, in the format that a trainer reads."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import PARTIAL, Directory, damaged, replacing
from webtext.pipeline.core.stage import settings as recorded
from webtext.pipeline.tokens import encoders
from webtext.pipeline.tokens.shard_files import BLOCK, read_bin
from webtext.pipeline.tokens.tokens import INDEX, SPLITS, Tokens, tokens

FORMATS = ("llmc", "nanogpt")
COLUMNS = ("id", "url", "domain", "text")  # that a corpus must have


def export(
    settings: Tokens,
    source: Path,
    out: Path,
    form: str,
    workers: int,
    progress: Progress = silent,
) -> None:
    """Write the tokens of `source`, a directory of corpus or token shards, to `out`.

    `out` appears whole or not at all. "llmc" gives what a build makes: shards, an index, counts
    and a manifest. "nanogpt" gives train.bin and val.bin.

    Raises:
        UserError: `source` is neither; `out` is there; the corpus or its train split is empty.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; name another directory")
    given = Directory(source)
    made = source if (source / INDEX).exists() else None
    if made is None:
        check_corpus(given)
    elif form == "llmc":
        raise UserError(f"{source}: holds llm.c's token shards already; --format nanogpt converts")
    work = out.with_name(out.name + PARTIAL)
    try:
        work.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"{work}: is there already; if it is of a run that was killed, remove it, or name "
            "another directory"
        ) from None
    try:
        shards = Directory(work / "shards" if form == "nanogpt" else work)
        if made is None:
            shards.path.mkdir(exist_ok=True)
            tokens(settings, given, shards, workers, progress)
        if form == "nanogpt":
            write_nanogpt(given if made else shards, work)
            shutil.rmtree(work / "shards", ignore_errors=True)
        else:
            stage = {"version": settings.version, "settings": recorded(settings)}
            shards.finish({"stages": {settings.name: stage}, "source": str(source)})
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_corpus(source: Directory) -> None:
    """Refuse a directory that is not a corpus.

    Raises:
        UserError: no Parquet shards, or shards without a column that is needed.
    """
    paths = source.shards()
    if not paths:
        raise UserError(
            f"{source}: no 00000.parquet and no {INDEX}; wanted a directory of corpus shards, "
            "or of token shards"
        )
    for path in paths:
        at_hand(path)
        try:
            found = pq.read_schema(path).names
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, error) from error
        if missing := [name for name in COLUMNS if name not in found]:
            raise UserError(
                f"{path}: no column {', '.join(missing)}; wanted {', '.join(COLUMNS)}, found "
                f"{', '.join(found)}"
            )


def write_nanogpt(directory: Directory, out: Path) -> list[Path]:
    """Write what nanoGPT reads: train.bin and val.bin, bare uint16, `<|endoftext|>` after each.

    Between documents the two conventions give the same stream: only the first token moves to
    the end.

    Raises:
        UserError: tokens of more than 16 bits, which nanoGPT does not read.
    """
    encoder = encoders.beside(directory.path)
    if encoders.width(encoder) != "<u2":
        raise UserError(
            f"{directory}: {encoder.vocabulary:,} different tokens, and nanoGPT reads 65,536 at "
            "most; use --format llmc"
        )
    written = []
    for split in SPLITS:
        files = sorted(directory.path.glob(f"{split}-*.bin"))
        with replacing(out / f"{split}.bin") as partial_path, partial_path.open("wb") as file:
            for number, path in enumerate(files):
                found = read_bin(path)
                for start in range(int(number == 0), len(found), BLOCK):
                    file.write(found[start : start + BLOCK].tobytes())
            if files:
                file.write(np.array([encoder.end], "<u2").tobytes())
        written.append(out / f"{split}.bin")
    return written
