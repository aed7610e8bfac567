"""The page on other frameworks: its code runs, and its gradients are those of the framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "training-loop.md"
FOUND = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SAME = """
import numpy as np
assert np.linalg.norm(ours) > 0
assert np.linalg.norm(ours - np.asarray(theirs)) < 2e-6 * np.linalg.norm(ours)
"""
CHECKS = {
    "PyTorch": """
ours = rnnsim.bptt(rnn, batch).layers[0].W_hh[0]
theirs = lstm.weight_hh_l0.grad.numpy()
assert repr(seen) == "Probe(lstm: 1 call)"
"""
    + SAME,
    "Diagnosis": """
assert found.label == "lstm"
assert found.about["window"] == 20
assert found["window_error"].known
assert found["clipping_by_norm"].known
assert not found["forward_memory"].known
assert len([each.diagnose() for each in seen.record().by_length()]) == 1
""",
    "While it trains": """
assert found.step.values.tolist() == [0, 100, 200]
assert found.to_array().notnull().all()
assert found.lag.values.tolist() == [1, 2, 4, 8, 16, 32]
""",
    "Lightning": """
assert repr(watching.monitor) == "Monitor(lstm, every=10, step=32, n_probed=4)"
assert watching.monitor.to_xarray().share_beyond.notnull().all()
assert not trainer.lightning_module.lstm._forward_hooks

class Failing(Model):
    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        if index == 2:
            return None
        if index == 3:
            raise RuntimeError("of the model")
        return loss

module = Failing()
watching = GradientsThroughTime(every=1)
trainer = lightning.Trainer(max_epochs=1, logger=TensorBoardLogger("."), callbacks=[watching])
try:
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=8))
except RuntimeError as error:
    assert "of the model" in str(error)
assert repr(watching.monitor) == "Monitor(lstm, every=1, step=4, n_probed=3)"
assert not module.lstm._forward_hooks
assert watching.monitor.to_xarray().lambda_1.notnull().values[:, 0].tolist() == [True, True, False]
""",
    "Keras": """
ours = rnnsim.bptt(rnn, batch).W_hh[0]
def whole(values):
    h = lstm.stateless_call(values, [v.value for v in lstm.non_trainable_variables], x)[0]
    return score(y, head(h)[:, -1])
theirs = jax.grad(whole)([v.value for v in lstm.trainable_variables])[1].T
"""
    + SAME,
    "JAX": """
ours = rnnsim.bptt(rnn, batch).W_hh[0]
(cell,) = jax.grad(lambda w: loss(lstm.apply(w, x)))(weights)["params"].values()
theirs = np.concatenate([cell[f"h{gate}"]["kernel"].T for gate in "ifgo"])
"""
    + SAME,
}
BLOCKS = dict(zip(CHECKS, FOUND, strict=True))
GOES_ON = {"Diagnosis": "PyTorch"}  # of blocks that begin where another one ends


def run(code, backend, folder):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.mark.frameworks
@pytest.mark.parametrize("name", CHECKS)
def test_a_block_runs_and_gives_what_the_framework_has(name, tmp_path):
    before = BLOCKS[GOES_ON[name]] if name in GOES_ON else ""
    done = run(before + BLOCKS[name] + CHECKS[name], "jax", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.frameworks
def test_keras_on_torch_gives_the_derivatives_as_the_page_says(tmp_path):
    block = BLOCKS["Keras"].replace("import jax\n", "").replace(
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
    done = run(block + check + SAME, "torch", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_recipes_are_of_ten_lines():
    for block in (BLOCKS["Keras"], BLOCKS["JAX"]):
        assert (
            sum(not line.startswith(("import", "from")) for line in block.split("\n") if line) <= 10
        )
