import math

import pytest
import torch
from torch.testing import assert_close

from heeler.ops import token_logprobs as module
from heeler.ops.token_logprobs import token_logprobs

torch.set_num_threads(1)


def test_hand_computed():
    # softmax(ln 1, ln 3) = (1/4, 3/4); at temperature 1/2 the weights are squared: (1/10, 9/10).
    logits = torch.tensor([[0.0, math.log(3)]])
    logprob, entropy = token_logprobs(logits, torch.tensor([1]), 1.0)
    assert_close(logprob, torch.tensor([math.log(0.75)]))
    assert_close(entropy, torch.tensor([-(0.25 * math.log(0.25) + 0.75 * math.log(0.75))]))
    logprob, _ = token_logprobs(logits, torch.tensor([0]), 0.5)
    assert_close(logprob, torch.tensor([math.log(0.1)]))


@pytest.mark.parametrize("numbers_at_once", [1, 20, 2**19])
def test_equals_plain_loops(numbers_at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", numbers_at_once)
    logits = torch.randn(9, 7, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(9) % 7
    logprob, entropy = token_logprobs(logits, tokens, 0.8)
    for t in range(9):
        weights = [math.exp(float(value) / 0.8) for value in logits[t]]
        p = [weight / sum(weights) for weight in weights]
        assert float(logprob[t]) == pytest.approx(math.log(p[int(tokens[t])]), abs=1e-5)
        assert float(entropy[t]) == pytest.approx(-sum(q * math.log(q) for q in p), abs=1e-5)


def test_gradient_equals_that_of_log_softmax():
    values = torch.randn(5, 11, generator=torch.Generator().manual_seed(1))
    tokens, weights = torch.tensor([0, 10, 3, 3, 7]), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
    mine, plain = values.clone().requires_grad_(), values.clone().requires_grad_()
    (token_logprobs(mine, tokens, 0.7)[0] * weights).sum().backward()
    (torch.log_softmax(plain / 0.7, -1).gather(1, tokens[:, None])[:, 0] * weights).sum().backward()
    assert_close(mine.grad, plain.grad, atol=1e-6, rtol=1e-5)


def test_the_entropy_has_no_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    logprob, entropy = token_logprobs(logits, torch.zeros(3, dtype=torch.int64), 1.0)
    assert logprob.requires_grad and not entropy.requires_grad


def test_a_token_that_cannot_come_leaves_the_entropy_finite():
    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    logprob, entropy = token_logprobs(logits, torch.tensor([0]), 1.0)
    assert_close(entropy, torch.tensor([math.log(2)]))
    assert_close(logprob, torch.tensor([-math.log(2)]))


def test_half_precision_is_summed_in_float32():
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(2)).bfloat16().requires_grad_()
    tokens = torch.arange(4)
    logprob, entropy = token_logprobs(logits, tokens, 1.0)
    assert logprob.dtype == entropy.dtype == torch.float32
    assert_close(logprob, torch.log_softmax(logits.detach().float(), -1)[tokens, tokens])
    logprob.sum().backward()
    assert logits.grad is not None and logits.grad.dtype == torch.bfloat16
