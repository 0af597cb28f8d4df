"""Whole programs, as tutorials write them: what they print under torch and under jittensor."""

import contextlib
import io

import pytest

torch = pytest.importorskip("torch")

import jittensor  # noqa: E402

CLASSIFY_NAMES = '''
# one step of a cell for each letter: graphs as long as the words, weights written through .data
nn = torch.nn
torch.manual_seed(3)
names = ["rossi", "sato", "schmidt", "ito", "bianchi", "wolf"]

class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(26 + 16, 16), nn.Linear(26 + 16, 3)

    def forward(self, letter, state):
        both = torch.cat((letter, state), 1)
        return torch.log_softmax(self.out(both), dim=1), torch.tanh(self.hidden(both))

cell = Cell()
for step in range(12):
    name, state = names[step % 6], torch.zeros(1, 16)
    line = torch.zeros(len(name), 1, 26)
    for i, letter in enumerate(name):
        line[i][0][ord(letter) - 97] = 1
    cell.zero_grad()
    for letter in line:
        out, state = cell(letter, state)
    loss = nn.functional.nll_loss(out, torch.tensor([step % 3]))
    loss.backward()
    for p in cell.parameters():
        p.data.add_(p.grad.data, alpha=-0.1)
    value, place = out.topk(1)
    print(f"{step} {loss.item():.4f} {value.item():.3f} {place[0].item()}")
print(cell.out.bias)
'''

REINFORCE = '''
# episodes of every length: 0-d losses joined by cat, weights read once a step
nn = torch.nn
torch.manual_seed(1)
policy = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=1))
opt = torch.optim.Adam(policy.parameters(), lr=1e-2)
for length in (3, 19, 11, 24):
    logs, rewards = [], []
    for t in range(length):
        state = torch.linspace(-1, 1, 4).mul(t + 1).sin().unsqueeze(0)
        choice = torch.distributions.Categorical(policy(state))
        action = torch.tensor([t * t % 2])
        logs.append(choice.log_prob(action))
        rewards.append(float(t % 3))
    returns = torch.tensor(rewards)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = torch.cat([-log * r for log, r in zip(logs, returns)]).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{length} {loss.item():.4f} {policy[0].weight.grad.norm():.3f}")
'''

TRANSFER = '''
# a state dict through a file, frozen layers, a new head, NumPy's names of arguments
import copy
nn = torch.nn
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.LayerNorm(16),
                                      nn.ReLU())
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.features(x), 1))

file, a, b = io.BytesIO(), Net(10), Net(10)
torch.save({"epoch": 2, "model": a.state_dict()}, file)
file.seek(0)
print(b.load_state_dict(torch.load(file)["model"]))
for p in b.parameters():
    p.requires_grad = False
b.fc = nn.Linear(b.fc.in_features, 2)
try:
    b.load_state_dict(a.state_dict())
except RuntimeError as error:
    print(error)
opt = torch.optim.SGD(b.fc.parameters(), lr=0.1, momentum=0.9)
plan = torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
x = torch.randn(16, 1, 4, 4)
y = (x.mean((1, 2, 3)) > 0).long()
for epoch in range(4):
    for train in (True, False):
        b.train(train)
        opt.zero_grad()
        with torch.set_grad_enabled(train):
            out = b(x)
            loss = nn.functional.cross_entropy(out, y)
            if train:
                loss.backward()
                norm = nn.utils.clip_grad_norm_(b.parameters(), 0.5)
                opt.step()
        hits = (out.argmax(axis=1) == y).float().mean(axis=0, keepdims=True)
        print(f"{epoch} {loss.item():.4f} {norm.item():.4f} {hits.item():.3f}")
    plan.step()
best = copy.deepcopy(b.state_dict())
print(list(best), best["fc.bias"].shape, plan.get_last_lr())
print(opt)
print(b)
'''


def printed(program: str, module) -> str:
    """What a program prints with `torch` standing for `module`."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "program", "exec"), {"torch": module, "io": io, "__name__": "p"})
    return out.getvalue()


@pytest.mark.parametrize("program", [CLASSIFY_NAMES, REINFORCE, TRANSFER],
                         ids=["names", "reinforce", "transfer"])
def test_prints_the_same(program):
    assert printed(program, jittensor) == printed(program, torch)


def test_episodes_of_any_length_share_their_kernels():
    """Long sums of gradients are cut into pieces, so that new lengths compile little."""
    from jittensor.kernels.compile import stats

    def episode(length: int) -> None:
        w = jittensor.ones(3, 5, requires_grad=True)
        parts = [(w * float(k)).relu().sum(0) for k in range(length)]
        jittensor.stack(parts).sum().backward()
        assert w.grad.tolist() == [[float(sum(range(length)))] * 5] * 3

    for length in (9, 30, 52, 80, 95):     # long ones are run in pieces
        episode(length)
    before = stats.kernels_compiled + stats.kernels_loaded
    for length in (67, 110, 130, 203):
        episode(length)
    assert stats.kernels_compiled + stats.kernels_loaded - before <= 4
