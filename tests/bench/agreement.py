"""Our scores against those of lm-eval's own code, on the same model and the same items.

Our side exports a small model, scores a sample of each set and writes the sample in the fields of
the data sets that lm-eval's task files ask for. Then this module runs again in lm-eval's own
environment, where lm-eval reads that model through transformers and runs its own tasks. Accuracies
must be equal, log-likelihoods and perplexities near to a part in ten thousand.

    python -m tests.bench.agreement [--items 60]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETS = ROOT.parent / "shared" / "data" / "eval"
FILES = {  # our task -> lm-eval's file of it
    "lambada": "lambada/lambada_openai.yaml",
    "wikitext2": "wikitext/wikitext.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "piqa": "piqa/piqa.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "winogrande": "winogrande/default.yaml",
    "copa": "super_glue/copa/default.yaml",
}
METRICS = {  # lm-eval's name of a metric -> ours
    "acc": "acc",
    "acc_norm": "acc_norm",
    "perplexity": "ppl",
    "word_perplexity": "ppl_word",
    "byte_perplexity": "ppl_byte",
    "bits_per_byte": "bits",
}
NEAR = 1e-4


def main() -> None:
    """Compare, print a table, and fail where the two do not agree."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--items", type=int, default=60)
    options.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.peer:
        peer(asked.peer)
        return
    if not SETS.is_dir():
        sys.exit(f"needs the evaluation sets in {SETS}, which are not part of the project")
    from tests.bench.peers import python

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        ours, raw = our_side(work, asked.items)
        environment = {
            **os.environ, "HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        }  # fmt: skip
        command = [str(python("lm_eval")), "-W", "ignore", str(Path(__file__)), "--peer", str(work)]
        done = subprocess.run(
            command, check=False, env=environment, cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr)
        theirs = json.loads((work / "theirs.json").read_text(encoding="utf-8"))
    wrong = compared(ours, theirs["results"])
    pairs = list(zip(raw, theirs["raw"], strict=True))
    off = max(abs(a - b) for a, b in pairs)
    share = max(abs(a / b - 1) for a, b in pairs)
    print(f"{len(raw)} log-likelihoods differ by {off:.1e} nats at the most, {share:.1e} of theirs")
    if wrong or share > NEAR:
        sys.exit(f"no agreement: {wrong}")


def compared(ours: dict[str, float], theirs: dict[str, float]) -> list[str]:
    """Print both, and return what does not agree."""
    wrong = []
    for name, value in theirs.items():
        mine = ours[name]
        near = 1e-9 if "/acc" in name else NEAR * abs(value)  # shares of whole items: equal
        equal = abs(mine - value) <= near
        print(f"{name:<28} ours {mine:<20.10g} lm-eval {value:<20.10g} {'' if equal else '!'}")
        wrong += [] if equal else [name]
    return wrong


# --- ours -----------------------------------------------------------------------------------------


def our_side(work: Path, items: int) -> tuple[dict[str, float], list[float]]:
    """Export a model, score a sample of each set; return the figures, and raw log-likelihoods."""
    import torch

    from webtext.flows.models.evaluation import Spelling
    from webtext.model.eval import sets
    from webtext.model.eval.score import pair, score
    from webtext.model.eval.zero_shot import evaluate
    from webtext.model.gpt.gpt import build
    from webtext.model.gpt.weights import export
    from webtext.model.settings import GPT2
    from webtext.pipeline.tokens import encoders
    from webtext.pipeline.tokens.tokenizer import write_tokenizer

    gpt2 = Spelling(encoders.encoder())
    model = build(GPT2(layers=2, heads=4, width=128, context=256), seed=1).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(2)  # so that it has opinions
    export(model, work / "model")
    write_tokenizer(work / "model", model.settings.context)

    lines = items * 10  # of WikiText: some articles
    figures = {}
    for task in FILES:
        limit = lines if task == "wikitext2" else items
        for row in evaluate(model, gpt2, SETS, [task], limit=limit):
            if row.protocol == "lm-eval":
                figures[f"{task}/{row.metric}"] = row.value
    for task in FILES:
        rows = [json.dumps(row) for row in originals(task, items, lines)]
        (work / f"{task}.json").write_text("\n".join(rows) + "\n", encoding="utf-8")
    passages = sets.lambada(sets.find("lambada", SETS), items)
    requests = [(before, f" {word}") for before, word in passages] + [("", p[0]) for p in passages]
    (work / "requests.json").write_text(json.dumps(requests), encoding="utf-8")
    raw = score(model, [pair(gpt2.encode, *request) for request in requests])
    return figures, [answer.logp for answer in raw]


def originals(task: str, items: int, lines: int) -> list[dict[str, object]]:
    """Return a sample with the fields that lm-eval's own file of the task asks for."""
    from webtext.model.eval import sets, tasks

    path = sets.find(task, SETS)
    if task == "lambada":
        return [{"text": f"{before} {word}"} for before, word in sets.lambada(path, items)]
    if task == "wikitext2":
        text = "".join(sets.read_text(path).splitlines(keepends=True)[:lines])
        return [{"page": page} for page in tasks.articles(text)]
    rows = list(sets.rows(path, items))
    if task == "hellaswag":
        return rows
    make = {"piqa": piqa, "arc_easy": arc, "winogrande": winogrande, "copa": copa}[task]
    return [make(row) for row in rows]


def piqa(row):
    goal = row["query"].removeprefix("Question: ").rstrip("\n")
    return {
        "goal": goal,
        "sol1": row["choices"][0],
        "sol2": row["choices"][1],
        "label": row["gold"],
    }


def arc(row):
    letters = "ABCDEFGH"[: len(row["choices"])]
    question = row["query"].removeprefix("Question: ").rstrip("\n")
    choices = {"text": row["choices"], "label": list(letters)}
    return {"question": question, "choices": choices, "answerKey": letters[row["gold"]]}


def winogrande(row):
    one, two = row["context_options"]
    same = next(n for n in range(len(one)) if one[n : n + 1] != two[n : n + 1])
    start = one.rfind(" ", 0, same) + 1
    return {
        "sentence": f"{one[:start]}_ {row['continuation']}",
        "option1": one[start:],
        "option2": two[start:],
        "answer": str(row["gold"] + 1),
    }


def copa(row):
    premise, _, connector = row["query"].rpartition(", ")
    return {
        "premise": f"{premise}.",
        "question": {"because": "cause", "therefore": "effect"}[connector],
        "choice1": row["choices"][0],
        "choice2": row["choices"][1],
        "label": row["gold"],
    }


# --- lm-eval's ------------------------------------------------------------------------------------


def peer(work: Path) -> None:
    """Run lm-eval's own tasks on what our side wrote; in its environment."""
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks._yaml_loader import load_yaml

    home = Path(lm_eval.__file__).parent / "tasks"
    model = HFLM(pretrained=str(work / "model"), device="cpu", dtype="float32", batch_size=8)
    results = {}
    for task, file in FILES.items():
        config = dict(load_yaml(home / file, resolve_func=True))
        config.pop("tag", None)
        config |= {
            "task": task, "dataset_path": "json", "dataset_name": None,
            "dataset_kwargs": {"data_files": {"test": str(work / f"{task}.json")}},
            "test_split": "test", "validation_split": None, "training_split": None,
        }  # fmt: skip
        found = lm_eval.simple_evaluate(model=model, tasks=[config], bootstrap_iters=0)
        for key, value in found["results"][task].items():
            metric = METRICS.get(key.partition(",")[0])
            if metric and isinstance(value, float):
                scale = 100 if metric.startswith("acc") else 1
                results[f"{task}/{metric}"] = value * scale
    asked = json.loads((work / "requests.json").read_text(encoding="utf-8"))
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=number)
        for number, pair in enumerate(asked)
    ]
    raw = [logp for logp, _ in model.loglikelihood(instances)]
    (work / "theirs.json").write_text(json.dumps({"results": results, "raw": raw}))


if __name__ == "__main__":
    main()
