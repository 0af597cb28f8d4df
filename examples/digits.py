"""Handwritten digits in, a trained network out: a plain PyTorch-style training loop.

pip install -e ".[examples]" && python examples/digits.py
"""

import time

START = time.perf_counter()

import importlib.util
from pathlib import Path

import numpy as np
from tqdm import tqdm

import jittensor as torch
from jittensor import nn

EPOCHS = 40
BATCH = 64


def load_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 pictures [1797, 64] in 0..1 and their labels [1797], from the file inside scikit-learn.

    The file is read without importing scikit-learn, which alone would take a second.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise SystemExit('scikit-learn holds the data: pip install -e ".[examples]"')
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return torch.from_numpy(table[:, :64] / 16), torch.from_numpy(table[:, 64].astype(np.int64))


def main() -> None:
    torch.manual_seed(0)
    images, labels = load_digits()
    order = torch.randperm(len(images))
    train, test = order[:1440], order[1440:]

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)

    steps, began = 0, 0.0
    bar = tqdm(range(EPOCHS), desc="training", unit="epoch")
    for _ in bar:
        shuffled = train[torch.randperm(len(train))]
        for batch in shuffled.split(BATCH):
            loss = loss_fn(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if steps == 0:
                first_loss = loss.item()
                began = time.perf_counter()
                first_step = f"first training step done after {began - START:.2f} s"
                tqdm.write(f"{first_step}, loss {first_loss:.3f}")
            steps += 1
        bar.set_postfix(loss=f"{loss.item():.4f}")
    seconds = time.perf_counter() - began

    with torch.no_grad():
        correct = model(images[test]).argmax(dim=1) == labels[test]
    print(f"test accuracy {correct.float().mean().item():.3f}")
    engine = torch.stats()
    print(
        f"kernels: {engine.kernels_compiled} compiled, {engine.kernels_loaded} loaded from disk, "
        f"{engine.kernels_launched} launched; {(steps - 1) / seconds:.0f} steps/s"
    )


if __name__ == "__main__":
    main()
