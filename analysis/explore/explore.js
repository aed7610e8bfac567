// The sliders: each change draws the pictures and says the sentence of its setting.
const restored = (value) => {
  if (Array.isArray(value)) return value.map(restored);
  if (value === null) return NaN;
  return { inf: Infinity, "-inf": -Infinity }[value] ?? value;
};
const data = JSON.parse(document.getElementById("data").textContent);
const { kinds, gains, lengths } = data;
const biases = [...new Set(kinds.map((kind) => kind.forget_bias).filter((bias) => bias !== null))];
const [bias, gain, length, window_] = ["bias", "gain", "length", "window"].map((id) => document.getElementById(id));
const cells = [...document.querySelectorAll("[name=cell]")];
const plots = ["norm", "error", "phase"].map((id) => document.getElementById(id));
const drawn = {};

function settingAt(kind, i, j) {
  const { norm, error, sufficient } = data.settings[kind][i][j];
  const [known, errors, window] = [norm, error, sufficient].map(restored);
  return { name: kinds[kind].name, gain: gains[i], length: lengths[j], norm: known, error: errors, sufficient: window };
}

// The kind that is chosen, by its place; vanilla networks have no forget bias.
function chosen() {
  const cell = cells.find((each) => each.checked).value;
  const wanted = biases[bias.value];
  return kinds.findIndex((kind) => kind.cell === cell && (kind.forget_bias === null || kind.forget_bias === wanted));
}

function show(input, words) {
  document.querySelector(`output[for=${input.id}]`).textContent = words;
  input.setAttribute("aria-valuetext", words);
  if (input.max === input.min) input.disabled = true;
}

function update() {
  const [kind, i, j, window] = [chosen(), Number(gain.value), Number(length.value), Number(window_.value)];
  const setting = settingAt(kind, i, j);
  bias.disabled = kinds[kind].forget_bias === null;
  show(bias, bias.disabled ? "none" : String(kinds[kind].forget_bias));
  show(gain, String(gains[i]));
  show(length, counted(lengths[j]));
  show(window_, counted(window));
  const rest = document.createElement("span");
  const [first, second] = sentences(setting, window, data.tolerance);
  rest.textContent = second;
  document.getElementById("sentence").replaceChildren(`${first} `, rest);
  quiet.forEach((leave) => leave());
  const change = (g, l) => restored(data.settings[kind][g][l].norm[0].at(-1));
  const changes = lengths.map((_, l) => gains.map((_, g) => change(g, l)));
  drawn.norm = drawNorm(plots[0], setting, window, data);
  drawn.error = drawError(plots[1], setting, window, data);
  drawn.phase = drawPhase(plots[2], changes, [i, j], data);
}

function choose(kind, i, j) {
  const { cell, forget_bias } = kinds[kind];
  cells.forEach((each) => (each.checked = each.value === cell));
  if (forget_bias !== null) bias.value = biases.indexOf(forget_bias);
  [gain.value, length.value] = [i, j];
  update();
}

document.querySelector(".moving").hidden = false;
document.querySelector("details").open = false;
const quiet = plots.map((plot) => speak(plot, () => drawn[plot.id]));
const controls = document.getElementById("controls");
controls.addEventListener("input", update);
controls.addEventListener("submit", (event) => event.preventDefault());
plots[2].addEventListener("click", ({ clientX, clientY }) => {
  const { size, box } = drawn.phase;
  const at = plots[2].getBoundingClientRect();
  const [x, y] = [((clientX - at.left) / at.width) * size[0], ((clientY - at.top) / at.height) * size[1]];
  const i = Math.floor(((x - box[0]) / (box[2] - box[0])) * gains.length);
  const j = Math.floor(((box[3] - y) / (box[3] - box[1])) * lengths.length);
  if (i in gains && j in lengths) choose(chosen(), i, j);
});
for (const button of document.querySelectorAll("[data-place]"))
  button.addEventListener("click", () => choose(...JSON.parse(button.dataset.place)));
for (const hint of document.querySelectorAll(".hint")) hint.hidden = false;
window_.value = data.start.window;
choose(data.start.kind, data.start.gain, data.start.length);
addEventListener("resize", update);
