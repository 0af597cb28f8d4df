"""A text file in, a small GPT trained on its characters, its loss curve and a sample out.

pip install -e ".[examples]" && python -m jittensor examples/char_gpt.py [text.txt]

Without a file it reads this project's README and docstrings. It is a plain PyTorch program: with
PyTorch installed, `python examples/char_gpt.py` prints the same.
"""

import argparse
import math
import re
from pathlib import Path

import matplotlib
import torch
import torch.nn as nn
import torch.nn.functional as F
from tqdm import tqdm

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PROJECT = Path(__file__).resolve().parent.parent


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each after a LayerNorm: [batch, time, width]
    in and out."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(),
                                  nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).split(width, dim=2)
        q, k, v = (t.view(batch, time, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = self.project(y.transpose(1, 2).reshape(batch, time, width))
        x = x + F.dropout(y, self.dropout, self.training)
        return x + self.feed(self.norm2(x))


class GPT(nn.Module):
    """Characters [batch, time] in, logits [batch, time, characters] out."""

    def __init__(self, characters, context=64, width=64, heads=4, layers=2, dropout=0.1):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(characters, width)
        self.position = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)
        nn.init.normal_(self.token.weight, std=0.1)
        nn.init.normal_(self.position.weight, std=0.1)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.token(tokens) + self.position(places))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    @torch.no_grad()
    def generate(self, tokens, count):
        """Appends `count` characters, each drawn from the model's distribution."""
        self.eval()
        for _ in range(count):
            probabilities = F.softmax(self(tokens[:, -self.context:])[:, -1], dim=-1)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], dim=1)
        return tokens


def project_text():
    """The README, and the docstrings of the package."""
    sources = sorted((PROJECT / "jittensor").rglob("*.py"))
    docs = (re.findall(r'"""(.*?)"""', path.read_text(), re.S) for path in sources)
    return (PROJECT / "README.md").read_text() + "\n".join("\n".join(d) for d in docs)


def batch_of(data, context, size):
    """Random windows [size, context] of a text, and the characters that follow each."""
    starts = torch.randint(len(data) - context, (size,))
    windows = data[starts[:, None] + torch.arange(context + 1)]
    return windows[:, :-1], windows[:, 1:]


def loss_of(model, x, y):
    """Mean cross-entropy of the next character, in nats."""
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


@torch.no_grad()
def validate(model, data, size, batches=8):
    """Mean loss over the first batches of the text that was kept apart."""
    model.eval()
    windows = data[:len(data) // (model.context + 1) * (model.context + 1)]
    windows = windows.view(-1, model.context + 1)[:batches * size]
    losses = [loss_of(model, w[:, :-1], w[:, 1:]) for w in windows.split(size) if len(w) == size]
    model.train()
    return torch.stack(losses).mean().item()


def warm_up_then_cosine(step, warm_up, steps):
    """The factor of the learning rate: a line up to 1, then half a cosine down to 0.1."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def train(model, data, kept_apart, args):
    """Trains for args.steps; the loss of each step, and (step, validation loss) every so often."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.1)
    warm_up = max(1, args.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warm_up_then_cosine(step, warm_up, args.steps))
    losses, checks = [], []
    every = max(1, args.steps // 4)
    for step in (bar := tqdm(range(1, args.steps + 1), desc="training", unit="step")):
        x, y = batch_of(data, model.context, args.batch)
        loss = loss_of(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.3f}", lr=f"{schedule.get_last_lr()[0]:.1e}")
        if step % every == 0 or step == args.steps:
            checks.append((step, validate(model, kept_apart, args.batch)))
            tqdm.write(f"step {step}: loss {losses[-1]:.3f}, validation loss {checks[-1][1]:.3f}")
    return losses, checks


def plot(losses, checks, path):
    """Both losses as a picture."""
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(range(1, len(losses) + 1), losses, label="training")
    axes.plot(*zip(*checks), "o-", label="validation")
    axes.set(xlabel="step", ylabel="nats a character")
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", type=Path, help="default: this project's own text")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--sample", type=int, default=200, help="characters written at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of what is written")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    text = args.text.read_text() if args.text else project_text()
    characters = sorted(set(text))
    number = {c: n for n, c in enumerate(characters)}
    data = torch.tensor([number[c] for c in text])
    data, kept_apart = data.split([len(data) * 9 // 10, len(data) - len(data) * 9 // 10])
    if len(kept_apart) <= args.batch * (args.context + 1):
        raise SystemExit(f"{len(text)} characters are too few for --batch and --context")

    config = {name: getattr(args, name) for name in
              ("context", "width", "heads", "layers", "dropout")}
    model = GPT(len(characters), **config)
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(text):,} characters, {len(characters)} different ones; {size:,} parameters")
    losses, checks = train(model, data, kept_apart, args)

    args.out.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.state_dict(), "config": {"characters": len(characters), **config},
                "text": "".join(characters), "losses": losses}, args.out / "char_gpt.pth")
    plot(losses, checks, args.out / "char_gpt.png")
    print(f"wrote {args.out / 'char_gpt.pth'} and {args.out / 'char_gpt.png'}")
    sample = model.generate(data[None, :1], args.sample)[0]
    print("sample:", "".join(characters[n] for n in sample.tolist()))


if __name__ == "__main__":
    main()
