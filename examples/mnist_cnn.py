"""MNIST's IDX files in, a trained convolutional network, its loss curve and test accuracy out.

pip install -e ".[examples]" && python -m jittensor examples/mnist_cnn.py

Without MNIST (`--data FOLDER` names the folder of its four files, gzipped or not) it takes the
1,797 handwritten digits inside scikit-learn, resized. It is a plain PyTorch program: with PyTorch
installed, `python examples/mnist_cnn.py` prints the same.
"""

import argparse
import gzip
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PLACES = ["data", "data/MNIST/raw", "data/mnist"]
FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


class Net(nn.Module):
    """Pictures [batch, 1, 28, 28] in, logits [batch, 10] out."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(torch.flatten(x, 1))
        return self.fc2(F.relu(self.fc1(x)))


def find(folder, name):
    """The path of an IDX file, gzipped or not, or None."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def read_idx(path):
    """A uint8 tensor from an IDX file: two zero bytes, 8 for uint8, the number of dimensions, each
    size as four bytes (the highest first), then the elements."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    if raw[:3] != b"\0\0\x08":
        raise SystemExit(f"{path} is not an IDX file of bytes")
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    return torch.from_numpy(values.reshape(shape).copy())


def load(folder):
    """Name of the data, training set, test set: pictures [n, 1, 28, 28] normalised, labels [n]."""
    for place in map(Path, [folder] if folder else PLACES):
        paths = [find(place, name) for name in FILES]
        if all(paths):
            name, (x, y, test_x, test_y) = f"MNIST in {place}", map(read_idx, paths)
            break
    else:
        if folder:
            raise SystemExit(f"{folder} does not hold {', '.join(FILES)} (or each with .gz)")
        from sklearn.datasets import load_digits
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32)[:, None] * (255 / 16)
        images = F.interpolate(images, size=(28, 28), mode="bilinear").squeeze(1)
        labels = torch.from_numpy(digits.target)
        name, order = "scikit-learn's digits", torch.randperm(len(labels))
        train, test = order[:1440], order[1440:]
        x, y, test_x, test_y = images[train], labels[train], images[test], labels[test]
    x, test_x = x.float().unsqueeze(1) / 255, test_x.float().unsqueeze(1) / 255
    mean, std = x.mean(), x.std()
    return (name, TensorDataset((x - mean) / std, y.long()),
            TensorDataset((test_x - mean) / std, test_y.long()))


def train(model, loader, optimizer, steps):
    """Trains for some steps, epoch after epoch; the loss of each step."""
    model.train()
    losses = []
    with tqdm(total=steps, desc="training", unit="step") as bar:
        while len(losses) < steps:
            for images, labels in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.4f}")
                if len(losses) == steps:
                    break
    return losses


@torch.no_grad()
def evaluate(model, loader):
    """Mean loss and accuracy over a data set."""
    model.eval()
    loss, correct = 0.0, 0
    for images, labels in loader:
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
    return loss / len(loader.dataset), correct / len(loader.dataset)


def plot(losses, path):
    """The loss of each step as a picture."""
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(losses)
    axes.set(xlabel="step", ylabel="cross-entropy", yscale="log", title="training loss")
    figure.savefig(path)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help=f"folder of the IDX files (default: one of {PLACES})")
    parser.add_argument("--epochs", type=int, help="default: 1 with MNIST, 6 with the digits")
    parser.add_argument("--steps", type=int, help="so many steps in place of epochs")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of what is written")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    name, train_set, test_set = load(args.data)
    print(f"{name}: {len(train_set)} pictures to train on, {len(test_set)} to test on")
    train_loader = DataLoader(train_set, batch_size=args.batch, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=256)

    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    epochs = args.epochs or (1 if name.startswith("MNIST") else 6)
    losses = train(model, train_loader, optimizer, args.steps or epochs * len(train_loader))
    print(f"loss: first step {losses[0]:.3f}, last step {losses[-1]:.3f}")
    loss, accuracy = evaluate(model, test_loader)
    print(f"test loss {loss:.3f}, test accuracy {accuracy:.3f}")

    args.out.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                "losses": losses}, args.out / "mnist_cnn.pth")
    plot(losses, args.out / "mnist_cnn.png")
    print(f"wrote {args.out / 'mnist_cnn.pth'} and {args.out / 'mnist_cnn.png'}")


if __name__ == "__main__":
    main()
