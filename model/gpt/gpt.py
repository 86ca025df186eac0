"""GPT-2 as published: pre-norm blocks, learned positions, tanh GELU, tied embedding and head.

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3, and
the released code for what the paper leaves out (GELU's form, eps of the norms).
The modules have the names of the released weights, so these load without renaming.

Some parts can be replaced by later inventions that learn from fewer tokens; the settings name the
source of each.
"""

# Shape suffixes:
#   B = windows, T = tokens, D = width, H = heads, K = width of a head (D / H),
#   S = tokens that can be attended to (those in the cache and the T new ones), V = vocabulary,
#   R = pairs of numbers that a rotary position rotates (K / 2), M = hidden width of the MLP (4 D)

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.utils.checkpoint import checkpoint

from webtext.model.gpt.loss import cross_entropy, token_losses
from webtext.model.gpt.masks import Mask, document_mask
from webtext.model.settings import GPT2

EPS = 1e-5  # of the norms. Source: the released code
BASE = 10_000.0  # of the wavelengths of rotary positions. Source: Su et al. (2021), section 3.2.2
STD = 0.02  # of the initial weights. Source: Radford et al. (2018), section 4.1


class Cache:
    """The keys and values of one layer, of all tokens seen so far."""

    def __init__(self, batch: int, gpt: GPT2, like: Tensor) -> None:
        shape = (batch, gpt.heads, gpt.context, gpt.width // gpt.heads)
        self.k_BHSK = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.v_BHSK = torch.empty_like(self.k_BHSK)
        self.length = 0

    def extend(self, k_BHTK: Tensor, v_BHTK: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of the new tokens; return those of all tokens."""
        end = self.length + k_BHTK.shape[2]
        self.k_BHSK[:, :, self.length : end] = k_BHTK
        self.v_BHSK[:, :, self.length : end] = v_BHTK
        self.length = end
        return self.k_BHSK[:, :, :end], self.v_BHSK[:, :, :end]


class Linear(nn.Linear):
    """A linear layer that computes in the dtype of its matrix, whatever the dtype of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` times the matrix, plus the bias."""
        dtype = self.weight.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return functional.linear(x.to(dtype), self.weight, bias)


class LayerNorm(nn.LayerNorm):
    """A norm that computes in float32, whatever the dtype of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` normalised, in float32."""
        weight, bias = self.weight.float(), None if self.bias is None else self.bias.float()
        return functional.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, gpt: GPT2, first: bool) -> None:
        super().__init__()
        self.heads, self.dropout = gpt.heads, gpt.dropout
        self.qk_norm, self.rotary = gpt.qk_norm, gpt.positions == "rotary"
        self.c_attn = Linear(gpt.width, 3 * gpt.width, bias=gpt.biases)
        self.c_proj = Linear(gpt.width, gpt.width, bias=gpt.biases)
        if gpt.value_residual and not first:
            self.mix = nn.Parameter(torch.empty(1))  # the first layer's share of the values

    def forward(
        self,
        x_BTD: Tensor,
        positions_T: Tensor,
        mask: Mask | None,
        cache: Cache | None,
        first_BHTK: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Let each token attend to itself and to earlier tokens, as far as `mask` allows.

        `first` holds the values of the first layer, if this is a later layer that mixes them in.
        Returns the output, and the values of the first layer for the later layers.
        """
        B, T, D = x_BTD.shape
        split = self.c_attn(x_BTD).view(B, T, 3, self.heads, D // self.heads).transpose(1, 3)
        q_BHTK, k_BHSK, v_BHSK = split.unbind(2)
        if first_BHTK is None:
            first_BHTK = v_BHSK
        else:
            v_BHSK = torch.lerp(v_BHSK, first_BHTK, self.mix.to(v_BHSK.dtype))
        if self.qk_norm:
            q_BHTK, k_BHSK = one_length(q_BHTK), one_length(k_BHSK)
        if self.rotary:
            angles = rotations(positions_T, D // self.heads)
            q_BHTK, k_BHSK = turn(q_BHTK, *angles), turn(k_BHSK, *angles)
        if cache is not None:
            assert cache.length == 0 or T == 1, "a filled cache takes one token at a time"
            k_BHSK, v_BHSK = cache.extend(k_BHSK, v_BHSK)
        if isinstance(mask, BlockMask):
            y_BHTK = flex_attention(q_BHTK, k_BHSK, v_BHSK, block_mask=mask)
        else:
            y_BHTK = functional.scaled_dot_product_attention(
                q_BHTK,
                k_BHSK,
                v_BHSK,
                attn_mask=mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=mask is None and T > 1,
            )
        return self.c_proj(y_BHTK.transpose(1, 2).reshape(B, T, D)), first_BHTK


class MLP(nn.Module):
    """Two linear layers; the hidden state between them is four times as wide."""

    def __init__(self, gpt: GPT2) -> None:
        super().__init__()
        self.activation = gpt.activation
        self.c_fc = Linear(gpt.width, 4 * gpt.width, bias=gpt.biases)
        self.c_proj = Linear(4 * gpt.width, gpt.width, bias=gpt.biases)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each token independently."""
        x_BTM = self.c_fc(x_BTD)
        if self.activation == "relu2":
            return cast("Tensor", self.c_proj(functional.relu(x_BTM).square()))
        return cast("Tensor", self.c_proj(functional.gelu(x_BTM, approximate="tanh")))


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream."""

    def __init__(self, gpt: GPT2, first: bool) -> None:
        super().__init__()
        self.value_residual = gpt.value_residual
        self.ln_1 = LayerNorm(gpt.width, eps=EPS, bias=gpt.biases)
        self.attn = Attention(gpt, first)
        self.ln_2 = LayerNorm(gpt.width, eps=EPS, bias=gpt.biases)
        self.mlp = MLP(gpt)
        self.drop = nn.Dropout(gpt.dropout)

    def forward(
        self,
        x_BTD: Tensor,
        positions_T: Tensor,
        mask: Mask | None = None,
        cache: Cache | None = None,
        first_BHTK: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the residual stream after this layer, and the first layer's values if needed."""
        y_BTD, first_BHTK = self.attn(self.ln_1(x_BTD), positions_T, mask, cache, first_BHTK)
        x_BTD = x_BTD + self.drop(y_BTD)
        x_BTD = x_BTD + self.drop(self.mlp(self.ln_2(x_BTD)))
        return x_BTD, first_BHTK if self.value_residual else None


class GPT(nn.Module):
    """The language model. `wte` has padding rows, which logits and parameter counts leave out."""

    def __init__(self, gpt: GPT2, recompute: bool = False, mask_documents: bool = False) -> None:
        super().__init__()
        self.settings = gpt
        self.recompute, self.mask_documents = recompute, mask_documents
        self.wte = nn.Embedding(gpt.padded_vocab, gpt.width)
        if gpt.positions == "learned":
            self.wpe = nn.Embedding(gpt.context, gpt.width)
        self.drop = nn.Dropout(gpt.dropout)
        self.h = nn.ModuleList(Block(gpt, number == 0) for number in range(gpt.layers))
        self.ln_f = LayerNorm(gpt.width, eps=EPS, bias=gpt.biases)
        if not gpt.tied:
            self.lm_head = Linear(gpt.width, gpt.padded_vocab, bias=False)

    @property
    def head(self) -> Tensor:
        """The matrix that gives the logits, with padding rows; if tied, it is the embedding."""
        return self.wte.weight if self.settings.tied else self.lm_head.weight

    def forward(self, x_BT: Tensor, y_BT: Tensor | None = None) -> Tensor:
        """Return the logits (BTV) of the next tokens, or their mean loss if `y` is given."""
        h_BTD = self.hidden(x_BT)
        return self.logits(h_BTD) if y_BT is None else self.loss(h_BTD, y_BT)

    def hidden(self, x_BT: Tensor, caches: Sequence[Cache] | None = None) -> Tensor:
        """Return the output of the last norm for each token (BTD)."""
        positions_T = self.positions(x_BT, caches[0].length if caches else 0)
        x_BTD, first_BHTK = self.embed(x_BT, positions_T), None
        mask = None if caches else self.mask(x_BT)
        for number, block in enumerate(self.h):
            if self.recompute and torch.is_grad_enabled():
                given = (x_BTD, positions_T, mask, None, first_BHTK)
                x_BTD, first_BHTK = checkpoint(block, *given, use_reentrant=False)
            else:
                cache = caches[number] if caches else None
                x_BTD, first_BHTK = block(x_BTD, positions_T, mask, cache, first_BHTK)
        return cast("Tensor", self.ln_f(x_BTD))

    def positions(self, x_BT: Tensor, start: int = 0) -> Tensor:
        """Return the positions of the tokens in the context (T); the first one is at `start`."""
        end = start + x_BT.shape[1]
        assert end <= self.settings.context, f"{end} tokens exceed the context"
        return torch.arange(start, end, device=x_BT.device)

    def embed(self, x_BT: Tensor, positions_T: Tensor) -> Tensor:
        """Return the input of the first layer (BTD)."""
        x_BTD = self.wte(x_BT)
        if self.settings.positions == "learned":
            x_BTD = x_BTD + self.wpe(positions_T)
        return cast("Tensor", self.drop(x_BTD))

    def mask(self, x_BT: Tensor) -> Mask | None:
        """Return the attention mask; None if each token attends to all earlier tokens."""
        dropping = self.training and self.settings.dropout > 0
        if not self.mask_documents:
            return None
        return document_mask(x_BT, blocks=not dropping, end=self.settings.end)

    def loss(self, h_BTD: Tensor, y_BT: Tensor) -> Tensor:
        """Return the mean loss of predicting `y` from the output of `hidden`, in nats."""
        return cross_entropy(h_BTD, self.head, y_BT, self.settings.vocab)

    def logits(self, h_BTD: Tensor) -> Tensor:
        """Return the logits (BTV) for the output of `hidden`, without the padding."""
        head_VD = self.head
        return functional.linear(h_BTD.to(head_VD.dtype), head_VD)[..., : self.settings.vocab]

    def losses(self, x_BT: Tensor, y_BT: Tensor) -> Tensor:
        """Return the loss of each token (BT), in nats; for scoring, so without gradients."""
        with torch.no_grad():
            h_BTD = self.hidden(x_BT)
            return token_losses(h_BTD, self.head, y_BT, self.settings.vocab)

    def caches(self, batch: int) -> list[Cache]:
        """Return one empty cache for each layer, for `batch` texts."""
        return [Cache(batch, self.settings, self.wte.weight) for _ in self.h]


def one_length(x_BHTK: Tensor) -> Tensor:
    """Normalise each query or key to length sqrt(K)."""
    return functional.rms_norm(x_BHTK, x_BHTK.shape[-1:], eps=EPS)


def rotations(positions_T: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (TR) of the angle by which a position rotates each pair of a head.

    Source: Su et al. (2021), RoFormer, section 3.2.2.
    """
    pairs_R = torch.arange(size // 2, device=positions_T.device)
    angle_TR = positions_T[:, None] / BASE ** (2 * pairs_R / size)
    return angle_TR.cos(), angle_TR.sin()


def turn(x_BHTK: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Rotate each pair of a head, its k-th and (R + k)-th number, by the angle of its position."""
    a_BHTR, b_BHTR = x_BHTK.chunk(2, dim=-1)
    turned = (a_BHTR * cos_TR - b_BHTR * sin_TR, a_BHTR * sin_TR + b_BHTR * cos_TR)
    return torch.cat(turned, dim=-1).type_as(x_BHTK)


def build(
    gpt: GPT2,
    seed: int = 0,
    device: str | torch.device = "cpu",
    *,
    recompute: bool = False,
    mask_documents: bool = False,
) -> GPT:
    """Return a new model; its initial weights depend only on the seed, not on the device."""
    model = empty(gpt, recompute=recompute, mask_documents=mask_documents)
    start(model, seed)
    return model.to(device)


def empty(gpt: GPT2, *, recompute: bool = False, mask_documents: bool = False) -> GPT:
    """Return a model with uninitialised weights, for callers that load their own."""
    with torch.device("meta"):  # skips torch's own initialisation, which nobody would use
        model = GPT(gpt, recompute, mask_documents)
    return model.to_empty(device="cpu")


@torch.no_grad()
def start(model: GPT, seed: int) -> None:
    """Initialise the weights.

    All come from a normal distribution with deviation 0.02; the 2 L projections onto the residual
    stream are divided by sqrt(2 L), so that its variance does not grow with the depth. Biases are
    0. Source: Radford et al. (2019), section 2.3; (2018), section 4.1. With `zero_start` those
    projections are 0. The mixing weights of values start at one half.
    """
    random = torch.Generator().manual_seed(seed)
    residual = 0.0 if model.settings.zero_start else STD / math.sqrt(2 * model.settings.layers)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.zero_()
        elif ".ln_" in name or name.startswith("ln_f"):
            parameter.fill_(1)
        elif name.endswith(".mix"):
            parameter.fill_(0.5)
        else:
            std = residual if name.endswith("c_proj.weight") else STD
            parameter.normal_(0, std, generator=random)
    for table in (model.wte.weight, model.head):
        table[model.settings.vocab :] = 0
