import math

import pytest
import torch

from webtext.model.gpt.gpt import GPT, build
from webtext.model.settings import END_OF_TEXT, GPT2


def words(gpt, batch=2, length=None, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(gpt.vocab, (batch, length or gpt.context), generator=random)


@pytest.mark.parametrize(("layers", "heads", "width"), [(12, 12, 768), (48, 25, 1600)])
def test_the_module_has_the_parameters_that_the_settings_count(layers, heads, width):
    gpt = GPT2(layers, heads, width)
    with torch.device("meta"):
        counted = sum(p.numel() for p in GPT(gpt).parameters())
    assert counted == gpt.parameters + (50_304 - 50_257) * width


def test_an_untrained_model_knows_no_more_than_the_size_of_its_vocabulary(tiny):
    x_BT = words(tiny)
    assert build(tiny)(x_BT, x_BT.roll(-1, 1)).item() == pytest.approx(math.log(500), abs=0.1)


def test_no_token_sees_the_future(tiny):
    gpt, x_BT = build(tiny), words(tiny)
    changed_BT = x_BT.clone()
    changed_BT[:, 8:] = (changed_BT[:, 8:] + 1) % tiny.vocab
    torch.testing.assert_close(gpt(x_BT)[:, :8], gpt(changed_BT)[:, :8])
    assert not torch.allclose(gpt(x_BT)[:, 8:], gpt(changed_BT)[:, 8:])


def test_the_first_weights_are_spread_as_published():
    gpt = build(GPT2(layers=8, heads=2, width=128, context=64, vocab=500))
    block = gpt.h[0]
    near = {"rel": 0.03}
    assert gpt.wte.weight[:500].std().item() == pytest.approx(0.02, **near)
    assert gpt.wpe.weight.std().item() == pytest.approx(0.02, **near)
    assert block.attn.c_attn.weight.std().item() == pytest.approx(0.02, **near)
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        assert projection.weight.std().item() == pytest.approx(0.02 / math.sqrt(16), **near)
        assert projection.bias.count_nonzero() == 0
    assert block.ln_1.weight.eq(1).all()


def test_the_seed_alone_decides_the_first_weights(tiny):
    torch.manual_seed(1)
    one = build(tiny, seed=5).state_dict()
    torch.manual_seed(2)
    two = build(tiny, seed=5).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["wpe.weight"], build(tiny, seed=6).state_dict()["wpe.weight"])


def test_padding_shows_in_no_logit(tiny):
    assert build(tiny).wte.weight.shape[0] == 512
    assert build(tiny)(words(tiny)).shape == (2, 64, 500)


def test_computing_activations_again_changes_no_gradient(tiny):
    x_BT = words(tiny)
    grads = []
    for recompute in (False, True):
        gpt = build(tiny, recompute=recompute)
        gpt(x_BT, x_BT.roll(-1, 1)).backward()
        grads.append([p.grad for p in gpt.parameters()])
    torch.testing.assert_close(*grads)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_it_compiles_as_one_graph_and_to_the_same(tiny):
    torch.compiler.reset()  # it gives up on a function that it has compiled eight times
    plain, compiled = build(tiny), build(tiny)
    compiled.compile(backend="aot_eager", fullgraph=True)  # all but making machine code
    x_BT = words(tiny)
    for gpt in (plain, compiled):
        gpt(x_BT, x_BT.roll(-1, 1)).backward()
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_masked_document_does_not_see_the_one_before_it():
    gpt = GPT2(layers=1, heads=2, width=16, context=16)
    masked, open_ = build(gpt, mask_documents=True), build(gpt)
    x_BT = words(gpt) % 1000
    x_BT[:, 9] = END_OF_TEXT
    other_BT = x_BT.clone()
    other_BT[:, :9] += 1
    torch.testing.assert_close(masked(x_BT)[:, 9:], masked(other_BT)[:, 9:])
    torch.testing.assert_close(masked(x_BT)[:, :9], open_(x_BT)[:, :9])
    assert not torch.allclose(open_(x_BT)[:, 9:], open_(other_BT)[:, 9:])


def test_a_cache_changes_no_logit(tiny):
    gpt, x_BT = build(tiny).eval(), words(tiny)
    caches = gpt.caches(2)
    parts = [gpt.hidden(x_BT[:, :20], caches)]
    parts += [gpt.hidden(x_BT[:, t : t + 1], caches) for t in range(20, 64)]
    torch.testing.assert_close(gpt.logits(torch.cat(parts, 1)), gpt(x_BT))


def test_the_losses_of_tokens_have_the_training_loss_as_their_mean(tiny):
    gpt, x_BT = build(tiny), words(tiny)
    y_BT = x_BT.roll(-1, 1)
    torch.testing.assert_close(gpt.losses(x_BT, y_BT).mean(), gpt(x_BT, y_BT).detach())


def test_dropout_drops_in_training_only():
    dropping = GPT2(layers=1, heads=2, width=16, context=16, vocab=50, dropout=0.5)
    gpt, x_BT = build(dropping), words(dropping)
    assert not torch.equal(gpt(x_BT), gpt(x_BT))
    gpt.eval()
    assert torch.equal(gpt(x_BT), gpt(x_BT))
