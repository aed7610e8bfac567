"""The page on other frameworks: its code runs, and its gradients are those of the framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "probe.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
CHECKS = {
    "PyTorch": """
ours = rnnsim.bptt(rnn, batch).layers[0].W_hh[0]
theirs = lstm.weight_hh_l0.grad.numpy()
assert repr(seen) == "Probe(lstm: 1 call)"
""",
    "Keras": """
ours = rnnsim.bptt(rnn, batch).W_hh[0]
def whole(values):
    h = lstm.stateless_call(values, [v.value for v in lstm.non_trainable_variables], x)[0]
    return score(y, head(h)[:, -1])
theirs = jax.grad(whole)([v.value for v in lstm.trainable_variables])[1].T
""",
    "JAX": """
ours = rnnsim.bptt(rnn, batch).W_hh[0]
(cell,) = jax.grad(lambda w: loss(lstm.apply(w, x)))(weights)["params"].values()
theirs = np.concatenate([cell[f"h{gate}"]["kernel"].T for gate in "ifgo"])
""",
}
SAME = """
import numpy as np
assert np.linalg.norm(ours) > 0
assert np.linalg.norm(ours - np.asarray(theirs)) < 2e-6 * np.linalg.norm(ours)
"""


def run(code, backend):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "block"), [*zip(CHECKS, BLOCKS, strict=True)], ids=CHECKS)
def test_a_block_gives_the_gradients_of_its_framework(name, block):
    done = run(block + CHECKS[name] + SAME, "jax")
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.frameworks
def test_keras_on_torch_gives_the_derivatives_as_the_page_says():
    block = BLOCKS[1].replace("import jax\n", "").replace(
        "dL_dh = jax.grad(lambda h: score(y, head(h)[:, -1]))(lstm(x))",
        "h = lstm(x).detach().requires_grad_(); score(y, head(h)[:, -1]).backward(); "
        "dL_dh = h.grad.cpu()",
    )  # fmt: skip
    check = """
ours = rnnsim.bptt(rnn, batch).W_hh[0]
kernel = lstm.trainable_variables[1].value
kernel.grad = None
score(y, head(lstm(x))[:, -1]).backward()
theirs = kernel.grad.detach().cpu().numpy().T
"""
    done = run(block + check + SAME, "torch")
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_recipes_are_of_ten_lines():
    for block in BLOCKS[1:]:
        assert (
            sum(not line.startswith(("import", "from")) for line in block.split("\n") if line) <= 10
        )
