import subprocess
import sys
from dataclasses import fields

import pytest

from webtext.model.errors import UserError
from webtext.model.settings import GPT2, Train, identity

SIZES = {
    "124m": (GPT2(12, 12, 768), 124_439_808),
    "355m": (GPT2(24, 16, 1024), 354_823_168),
    "774m": (GPT2(36, 20, 1280), 774_030_080),
    "1558m": (GPT2(48, 25, 1600), 1_557_611_200),
}


@pytest.mark.parametrize(("gpt", "parameters"), SIZES.values(), ids=SIZES)
def test_the_four_sizes_have_the_published_number_of_parameters(gpt, parameters):
    assert gpt.parameters == parameters


def test_operations_per_token_are_those_of_palms_formula():
    found = [gpt.flops_per_token for gpt, _ in SIZES.values()]
    assert found == pytest.approx([8.552e8, 2.425e9, 5.203e9, 1.028e10], rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": 0}, "model.layers = 0; wanted 1 or more"),
        ({"vocab": 2_000_000}, "model.vocab = 2000000; wanted 1,048,576 at most"),
        ({"dropout": 1.0}, "model.dropout = 1.0; wanted from 0 to below 1"),
        ({"width": 100, "heads": 12}, "does not divide into 12 heads; use a multiple, such as 96"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changed, message):
    with pytest.raises(UserError, match=message):
        GPT2(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "train.steps = 0; wanted 1 or more"),
        ({"warmup": -1}, "train.warmup = -1; wanted 0 or more"),
        ({"beta2": 1.0}, "train.beta2 = 1.0; wanted from 0 to below 1"),
        ({"lr": 0.0}, "train.lr = 0.0; wanted more than 0"),
        ({"min_lr": 1.0}, "train.min_lr = 1.0; wanted 0 to lr = 0.0006"),
        ({"schedule": "cosin"}, "train.schedule = 'cosin'; wanted one of cosine, wsd"),
        ({"optimizer": "sgd"}, "train.optimizer = 'sgd'; wanted one of adamw, muon"),
        ({"precision": "fp8"}, "train.precision = 'fp8'; wanted one of auto, fp32, bf16, fp16"),
        ({"parallel": "tp"}, "train.parallel = 'tp'; wanted one of ddp, fsdp"),
        ({"trouble": "panic"}, "train.trouble = 'panic'; wanted one of stop, skip"),
    ],
)
def test_a_training_that_cannot_be_is_refused(changed, message):
    with pytest.raises(UserError, match=message):
        Train(**changed)


FLOATS = [
    (table, item.name) for table in (GPT2, Train) for item in fields(table) if item.type is float
]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, "1"])
@pytest.mark.parametrize(("table", "name"), FLOATS, ids=[name for _, name in FLOATS])
def test_no_float_may_be_what_is_no_number(table, name, value):
    with pytest.raises(UserError, match=rf"\.{name} = .*; wanted a finite number"):
        table(**{name: value})


@pytest.mark.parametrize("value", [True, 2.0, float("nan"), "2", None])
@pytest.mark.parametrize(
    ("table", "name"),
    [(table, item.name) for table in (GPT2, Train) for item in fields(table) if item.type is int],
)
def test_no_count_may_be_a_bool_or_a_float(table, name, value):
    with pytest.raises(UserError, match=rf"\.{name} = .*; wanted a whole number"):
        table(**{name: value})


@pytest.mark.parametrize(
    "changed",
    [{"lr": 1e30}, {"eps": 2.0}, {"weight_decay": 1e9}, {"clip": 1e7}, {"seed": 1 << 63}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_nobody_means_is_refused(changed):
    (name,) = changed
    with pytest.raises(UserError, match=f"train.{name} = .*; wanted .* at most"):
        Train(**changed)


def test_what_says_yes_or_no_is_no_number():
    with pytest.raises(UserError, match=r"train.compile = 1; wanted true or false"):
        Train(compile=1)
    with pytest.raises(UserError, match=r"train.schedule = None; wanted a text"):
        Train(schedule=None)


def test_a_batch_is_a_whole_number_of_windows():
    assert Train().windows(1024) == 512
    with pytest.raises(UserError, match=r"batch_tokens = 1000 is no multiple .* use 1024"):
        Train(batch_tokens=1000).windows(1024)


def test_what_only_the_machine_asks_for_is_no_part_of_a_runs_identity():
    assert identity(Train(microbatch=1, keep=9)) == identity(Train())
    assert identity(Train(seed=1)) != identity(Train())


def test_settings_and_plans_need_no_torch():
    modules = "webtext.model.settings, webtext.model.machine.plan"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
