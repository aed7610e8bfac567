// The three pictures of a setting, as SVG of the width that there is. Each gives its size and the
// places of its values, as `speak` takes them.
function element(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
const text = (words, x, y, attributes = {}) => element("text", { x, y, "text-anchor": "middle", ...attributes }, words);
const line = (x1, y1, x2, y2, kind) => element("line", { x1, y1, x2, y2, class: kind });
const rectangle = (x, y, width, height, attributes) => element("rect", { x, y, width, height, ...attributes });

// About n round numbers from low to high.
function ticks(low, high, n) {
  const rough = Math.max((high - low) / n, 1e-9);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

// A box with named axes in a plot, and where numbers are in it; x and y are [low, high].
function framed(plot, { x, y, names, xTicks, yTicks, beside = 70, above = 0, grid = true }) {
  const width = Math.max(plot.clientWidth, 240);
  const height = Math.min(Math.max(0.62 * width, 250), 340);
  const [left, top, right, bottom] = [beside, 10 + 17 * above, width - 12, height - 50];
  const X = (at) => left + ((at - x[0]) / (x[1] - x[0])) * (right - left);
  const Y = (at) => bottom - ((Math.min(Math.max(at, y[0] - 9), y[1] + 9) - y[0]) / (y[1] - y[0])) * (bottom - top);
  const back = element("g");
  for (const [at, label] of xTicks) {
    if (grid) back.append(line(X(at), top, X(at), bottom, "grid"));
    back.append(text(label, X(at), bottom + 19));
  }
  for (const [at, label] of yTicks) {
    if (grid) back.append(line(left, Y(at), right, Y(at), "grid"));
    back.append(text(label, left - 8, Y(at) + 5, { "text-anchor": "end" }));
  }
  const middle = (top + bottom) / 2;
  back.append(
    text(names[0], (left + right) / 2, height - 8, { class: "axis" }),
    text(names[1], 16, middle, { class: "axis", transform: `rotate(-90 16 ${middle})` }),
  );
  const inside = element("g", { "clip-path": `url(#${plot.id}-clip)` });
  const clip = element("clipPath", { id: `${plot.id}-clip` }, rectangle(left, top, right - left, bottom - top));
  const frame = rectangle(left, top, right - left, bottom - top, { class: "frame" });
  const drawing = element("g", {}, clip, back, inside, frame);
  const picture = plot.querySelector("svg");
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.querySelector("g").replaceWith(drawing);
  return { X, Y, inside, drawing, size: [width, height], box: [left, top, right, bottom] };
}

// A median and its quartiles. What is exactly 0 leaves the picture below, what is not known is a gap.
function curve({ X, Y, inside }, xs, [median, low, high]) {
  const runs = [[]];
  xs.forEach((_, i) => (Number.isNaN(median[i]) ? runs.push([]) : runs.at(-1).push(i)));
  for (const run of runs.filter((each) => each.length)) {
    const path = (values, order) => order.map((i) => `${X(xs[i]).toFixed(1)},${Y(values[i]).toFixed(1)}`);
    inside.append(element("polygon", { class: "band", points: [...path(high, run), ...path(low, run.toReversed())].join(" ") }));
    inside.append(element("polyline", { class: "median", points: path(median, run).join(" ") }));
    if (run.length === 1) inside.append(element("circle", { class: "dot-of-one", cx: X(xs[run[0]]), cy: Y(median[run[0]]), r: 4 }));
  }
}

// The places of a curve's points that are in the picture, and what they say.
function spoken({ X, Y, box }, name, xs, ys, say) {
  const known = [...xs.keys()].filter((i) => !Number.isNaN(ys[i]));
  const inside = (at) => Math.min(Math.max(at, box[1]), box[3]);
  return { name, box, x: known.map((i) => X(xs[i])), y: known.map((i) => inside(Y(ys[i]))), texts: known.map(say) };
}

// Words above the box at a place along x, on the side with more room, and never outside.
function above({ box, size, X, drawing }, words, at, y, kind = "") {
  const x = Math.min(Math.max(X(at), box[0]), box[2]);
  const label = text(words, x, y, { "text-anchor": "start", class: kind });
  drawing.append(label);
  const length = label.getComputedTextLength();
  const wanted = x > (box[0] + box[2]) / 2 ? x - length : x;
  label.setAttribute("x", Math.max(26, Math.min(wanted, size[0] - length - 2))); // right of the name
  return x;
}

const sized = (change) => {
  if (Number.isNaN(change)) return "not known";
  if (change === -Infinity) return "exactly 0";
  if (change >= 0) return `${times(change)} times`;
  return change > -2 ? `${(100 * 10 ** change).toFixed(0)}%` : powerOf(change);
};

function drawNorm(plot, setting, window, { decades }) {
  const { length, norm } = setting;
  const lags = [...norm[0].keys()];
  const last = Math.max(length - 1, 1);
  const step = Math.ceil(decades / 3);
  const most = Math.floor(decades / step);
  const powers = Array.from({ length: 2 * most + 1 }, (_, i) => (i - most) * step);
  const drawn = framed(plot, {
    x: [0, last], y: [-decades, decades],
    above: 2, names: ["lag (steps before the loss)", "gradient, relative to lag 0"],
    xTicks: ticks(0, last, 5).filter(Number.isInteger).map((at) => [at, at]),
    yTicks: powers.map((at) => [at, at ? powerOf(at) : "1"]),
  });
  const [left, top, right, bottom] = drawn.box;
  const cut = window < length;
  const words = cut ? `window ${window}: the rest is cut off` : `window ${window}: nothing is cut off`;
  const edge = above(drawn, words, Math.min(window, length) - 0.5, 36, "of-window");
  if (cut) {
    drawn.inside.append(rectangle(edge, top, Math.max(right - edge, 0), bottom - top, { class: "cut" }));
    drawn.inside.append(line(edge, top, edge, bottom, "window"));
  }
  curve(drawn, lags, norm);
  const say = (k) => `${counted(k)} back: ${sized(norm[0][k])}`;
  return { size: drawn.size, curves: [spoken(drawn, "Gradient", lags, norm[0], say)] };
}

function drawError(plot, setting, window, { largest_error: most, tolerance }) {
  const { length, error, sufficient } = setting;
  const windows = [...error[0].keys()].map((i) => i + 1);
  const last = Math.max(length, 2);
  const drawn = framed(plot, {
    x: [1, last], y: [0, most],
    above: 2, names: ["window (steps)", "missed, of the gradient"],
    xTicks: [1, ...ticks(1, last, 5).filter((at) => Number.isInteger(at) && at > 1 + last / 12)].map((at) => [at, at]),
    yTicks: ticks(0, most, 4).map((at) => [at, `${Math.round(100 * at)}%`]),
  });
  const [, top, , bottom] = drawn.box;
  const shares = error.map((row) => row.map((each) => 10 ** each));
  if (!Number.isNaN(sufficient)) {
    const x = above(drawn, `at most ${Number((100 * tolerance).toPrecision(10))}%: window ${sufficient}`, sufficient, 17);
    drawn.drawing.append(line(x, top, x, bottom, "needed"));
  }
  const [at, here] = [Math.min(window, length), errorAt(setting, window)];
  const x = above(drawn, `window ${window}: ${missed(here)}`, at, 36, "of-window");
  drawn.inside.append(line(x, top, x, bottom, "window"));
  curve(drawn, windows, shares);
  if (!Number.isNaN(here))
    drawn.drawing.append(element("circle", { class: "mark", cx: x, cy: Math.max(drawn.Y(10 ** here), top), r: 7 }));
  const say = (i) => `${counted(windows[i])}: ${missed(error[0][i])}`;
  return { size: drawn.size, curves: [spoken(drawn, "Window", windows, shares[0], say)] };
}

// `changes` are rows for lengths of columns for gains; `at` is the column and the row of the setting.
function drawPhase(plot, changes, at, { gains, lengths }) {
  const drawn = framed(plot, {
    x: [-0.5, gains.length - 0.5], y: [-0.5, lengths.length - 0.5], beside: 56, grid: false,
    names: ["gain", "length (steps)"],
    xTicks: [],
    yTicks: lengths.map((length, i) => [i, length]),
  });
  const { X, Y, inside, box } = drawn;
  const [width, height] = [X(1) - X(0), Y(0) - Y(1)];
  const words = changes.map((row) => row.map(exponent));
  const letter = width < 38 ? 7 : 8; // at most so wide
  drawn.drawing.classList.toggle("crowded", letter < 8);
  const [widest, ofGains] = [words.flat(), gains].map((all) => letter * Math.max(...all.map((each) => `${each}`.length)));
  const every = Math.ceil((ofGains + 2) / width); // gains that there is room for
  gains.forEach((gain, j) => j % every || drawn.drawing.append(text(gain, X(j), box[3] + 19)));
  const stripes = { id: `${plot.id}-stripes`, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
  inside.append(element("pattern", stripes, line(0, 0, 0, 7, "stripes")));
  changes.forEach((row, i) =>
    row.forEach((change, j) => {
      const place = [X(j) - width / 2, Y(i) - height / 2, width, height];
      if (!Number.isNaN(change) && words[i][j] !== "0") {
        const strength = 0.15 + (0.45 * Math.min(Math.abs(change), 6)) / 6;
        inside.append(rectangle(...place, { class: change < 0 ? "vanish" : "explode", "fill-opacity": strength.toFixed(2) }));
        if (change < 0) inside.append(rectangle(...place, { fill: `url(#${stripes.id})` }));
      }
      if (widest <= width) inside.append(text(words[i][j], X(j), Y(i) + 5, { class: "change" }));
    }),
  );
  drawn.drawing.append(rectangle(X(at[0]) - width / 2, Y(at[1]) - height / 2, width, height, { class: "here" }));
  const columns = [...gains.keys()];
  const curves = lengths.map((length, i) => ({
    ...spoken(drawn, `Length ${length}`, columns, columns.map(() => i), (j) => `gain ${gains[j]}: ${sized(changes[i][j])}`),
    box: [box[0], Y(i) - height / 2, box[2], Y(i) + height / 2],
  }));
  return { size: drawn.size, curves, box };
}
