"""In: whole training programs with dropout, run by jittensor and by torch from one seed, with no
weights copied. Out: the same loss curve, the same weights, the same place in the random stream.
"""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
STEPS, BATCH = 100, 16


def mlp(L):
    """Dropout between layers; Adam."""
    nn = L.nn
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 32),
                          nn.LayerNorm(32), nn.GELU(), nn.Dropout(0.5), nn.Linear(32, 10))
    optimizer = L.optim.Adam(model.parameters(), lr=1e-3)
    x = L.randn(BATCH * 8, 20)
    y = x[:, :10].argmax(1)

    def loss():
        at = L.randperm(len(x))[:BATCH]
        return nn.functional.cross_entropy(model(x[at]), y[at])

    return model, optimizer, loss


def lenet(L):
    """Convolutions, tanh, average and maximum pooling; SGD with momentum and a step schedule."""
    nn = L.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * 4 * 4, 60), nn.Tanh(), nn.Dropout(0.2), nn.Linear(60, 10))
    optimizer = L.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    schedule = L.optim.lr_scheduler.StepLR(optimizer, 30, 0.5)
    y = L.randint(10, (BATCH * 4,))
    x = L.randn(10, 1, 24, 24)[y] + 0.5 * L.randn(len(y), 1, 24, 24)
    loader = L.utils.data.DataLoader(L.utils.data.TensorDataset(x, y), BATCH, shuffle=True)
    batches = endless(loader)

    def loss():
        schedule.step()
        images, labels = next(batches)
        return nn.functional.cross_entropy(model(images), labels)

    return model, optimizer, loss


def lstm(L):
    """A language model: embedding, two LSTM layers with dropout between them; RMSprop."""
    nn = L.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.lstm = nn.LSTM(16, 32, 2, batch_first=True, dropout=0.3)
            self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 20))

        def forward(self, tokens):
            return self.out(self.lstm(self.embed(tokens))[0])

    model = Model()
    optimizer = L.optim.RMSprop(model.parameters(), lr=2e-3)
    return model, optimizer, next_token(L, model, clip=1.0)


def gpt(L):
    """A GPT: two blocks of attention with dropout, weights tied; AdamW, clipping, a cosine."""
    nn, F = L.nn, L.nn.functional

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(),
                                      nn.Linear(2 * width, width), nn.Dropout(0.1))

        def forward(self, x):
            q, k, v = (t.unflatten(2, (4, -1)).transpose(1, 2)
                       for t in self.qkv(self.norm1(x)).chunk(3, dim=2))
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True)
            x = x + F.dropout(self.project(y.transpose(1, 2).flatten(2)), 0.1)
            return x + self.feed(self.norm2(x))

    class Model(nn.Module):
        def __init__(self, width=32):
            super().__init__()
            self.token, self.place = nn.Embedding(20, width), nn.Embedding(12, width)
            self.blocks = nn.Sequential(Block(width), Block(width))
            self.head = nn.Linear(width, 20, bias=False)
            self.head.weight = self.token.weight
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, std=0.1)

        def forward(self, tokens):
            x = self.token(tokens) + self.place(L.arange(tokens.shape[1]))
            return self.head(self.blocks(F.dropout(x, 0.1)))

    model = Model()
    optimizer = L.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = L.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    return model, optimizer, next_token(L, model, clip=1.0, after=schedule.step)


def next_token(L, model, clip, after=lambda: None):
    """The loss of predicting a text's next token; gradients are clipped as they arrive."""
    text = (L.arange(400) ** 2 // 7 + L.randint(3, (400,))) % 20

    def loss():
        after()
        starts = L.randint(len(text) - 13, (BATCH,))
        windows = text[starts[:, None] + L.arange(13)]
        out = model(windows[:, :-1])
        return L.nn.functional.cross_entropy(out.flatten(0, 1), windows[:, 1:].flatten())

    loss.clip = clip
    return loss


def endless(loader):
    """Batch after batch, epoch after epoch."""
    while True:
        yield from loader


def train(L, program):
    """(loss of each step, weights at the end, the next random number)."""
    L.manual_seed(0)
    model, optimizer, loss_of = program(L)
    losses = []
    for _ in range(STEPS):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        if clip := getattr(loss_of, "clip", None):
            L.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    return np.array(losses), weights, L.rand(1).item()


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("program", [mlp, lenet, lstm, gpt], ids=lambda p: p.__name__)
def test_one_seed_one_training(program):
    theirs, their_weights, their_draw = train(torch, program)
    ours, our_weights, our_draw = train(jt, program)
    assert our_draw == their_draw
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    np.testing.assert_allclose(ours[:3], theirs[:3], rtol=3e-6)
    assert theirs[-10:].mean() < 0.9 * theirs[:10].mean()        # it does learn
    for name, weight in their_weights.items():
        gap = np.abs(our_weights[name] - weight).max() / np.abs(weight).max()
        assert gap < 0.02, (name, gap)
