"""In: programs that import torch. Out: they run on jittensor's own modules."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import jittensor


def run(*arguments: str, cwd=None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        [os.path.dirname(os.path.dirname(jittensor.__file__)), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd,
                          timeout=300, env=environment)


def python(code: str) -> str:
    done = run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_are_jittensors_own():
    assert python("""
        import jittensor, sys
        spec = jittensor.nn.__spec__
        jittensor.as_torch()
        jittensor.as_torch()
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.optim.lr_scheduler
        from torch.autograd import Function, grad_mode
        from torch.nn.modules.linear import Linear
        from torch.utils.checkpoint import checkpoint
        from torch import optim, Tensor
        assert torch is jittensor and nn is jittensor.nn and F is jittensor.nn.functional
        assert Linear is jittensor.nn.Linear and Function is jittensor.autograd.Function
        assert torch.optim.lr_scheduler is jittensor.optim.lr_scheduler
        assert jittensor.nn.__spec__ is spec and nn.__name__ == "jittensor.nn"
        assert grad_mode is jittensor.autograd.grad_mode
        doubled = [n for n, m in sys.modules.items() if n.startswith("torch")
                   and not m.__name__.startswith("jittensor")]
        print(doubled, torch.ones(2).sum().item())
    """) == "[] 2.0\n"


def test_what_is_missing_says_so():
    out = python("""
        import jittensor
        jittensor.as_torch()
        for line in ("import torch._C", "from torch._C import Graph", "from torch import _C",
                     "import torch.nothing.here", "import torch.nn.nothing",
                     "from torch import nothing"):
            try:
                exec(line)
            except ImportError as error:
                print(type(error).__name__, "C extension" in str(error), "jittensor" in str(error))
    """)
    assert out.splitlines() == [
        *["ImportError True True"] * 2, "ImportError False True",
        *["ModuleNotFoundError False True"] * 2, "ImportError False True"]


def test_aliases_come_off():
    assert python("""
        import sys, jittensor
        jittensor.as_torch()
        import torch.nn
        jittensor.as_torch(False)
        print([n for n in sys.modules if n.split(".")[0] == "torch"])
    """) == "[]\n"


def test_too_late():
    assert python("""
        import sys, types, jittensor
        sys.modules["torch"] = types.ModuleType("torch")
        try:
            jittensor.as_torch()
        except RuntimeError as error:
            print(error)
    """).startswith("as_torch(): PyTorch has been imported already")


def test_script(tmp_path):
    (tmp_path / "beside.py").write_text("value = 41\n")
    (tmp_path / "program.py").write_text(textwrap.dedent("""
        import sys
        import torch
        from torch import nn
        import beside

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(2, 1)

            def forward(self, x):
                return self.layer(x)

        if __name__ == "__main__":
            net = Net()
            net(torch.ones(3, 2)).sum().backward()
            print(sys.argv[1:], beside.value, __file__.endswith("program.py"),
                  net.layer.bias.grad.item(), sys.modules["__main__"].Net is Net,
                  type(net).__module__)
            sys.exit(3)
    """))
    done = run("-m", "jittensor", str(tmp_path / "program.py"), "--lr", "0.1")
    assert done.returncode == 3, done.stderr
    assert done.stdout == "['--lr', '0.1'] 41 True 3.0 True __main__\n"


def test_traceback_is_the_programs(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("import torch\n\ndef f():\n    torch.ones(2) + torch.ones(3)\n\nf()\n")
    done = run("-m", "jittensor", str(path))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{path}", line 6, in <module>')
    assert "__main__.py" not in done.stderr and "runpy" not in done.stderr
    assert lines[-1].startswith("RuntimeError: The size of tensor a (2)")


def test_module_code_and_mistakes(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "go.py").write_text("import sys, torch\nfrom . import __name__ as n\n"
                                   "print(n, sys.argv[1:], torch.__name__)\n")
    done = run("-m", "jittensor", "-m", "pack.go", "a", cwd=tmp_path)
    assert done.stdout == "pack ['a'] jittensor\n", done.stderr
    done = run("-m", "jittensor", "-c", "import torch, sys; print(torch.zeros(1), sys.argv)", "b")
    assert done.stdout == "tensor([0.]) ['-c', 'b']\n", done.stderr
    assert run("-m", "jittensor", "nowhere.py").returncode == 2
    assert run("-m", "jittensor").returncode == 2
    (tmp_path / "wrong.py").write_text("x = = 3\n")
    done = run("-m", "jittensor", str(tmp_path / "wrong.py"))
    assert done.returncode == 1 and "SyntaxError" in done.stderr
    assert "jittensor/__main__" not in done.stderr


def test_types_are_called_as_pytorchs():
    out = python("""
        import jittensor, pickle
        own = repr(jittensor.Tensor)
        jittensor.as_torch()
        import torch
        x = torch.ones(1)
        print(*map(type, (x, x.shape, x.dtype, x.device, torch.nn.Parameter(x))))
        print(pickle.loads(pickle.dumps((x, x.shape, torch.Tensor))))
        jittensor.as_torch(False)
        print(repr(jittensor.Tensor) == own)
    """)
    assert out == ("<class 'torch.Tensor'> <class 'torch.Size'> <class 'torch.dtype'> "
                   "<class 'torch.device'> <class 'torch.nn.parameter.Parameter'>\n"
                   "(tensor([1.]), torch.Size([1]), <class 'torch.Tensor'>)\nTrue\n")
