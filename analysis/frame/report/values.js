"use strict";

// The values of a figure's curves, under the pointer and by keys. `drawn` gives the size of the
// figure and its curves as they are now; what comes back takes the value away.
function speak(plot, drawn) {
  const [dot, output] = [plot.querySelector(".dot"), plot.querySelector("output")];
  let shown = null; // which curve, which of its points

  function show(curve, point) {
    const { size, curves } = drawn();
    const { name, x, y, texts } = curves[curve];
    const [left, top] = [(100 * x[point]) / size[0], (100 * y[point]) / size[1]];
    shown = { curve, point };
    dot.hidden = false;
    dot.style.cssText = `left: ${left}%; top: ${top}%`;
    output.style.cssText = // towards the middle, and so never outside
      (left < 50 ? `left: ${left}%; ` : `right: ${100 - left}%; `) +
      (top < 50 ? `top: ${top}%` : `bottom: ${100 - top}%`);
    const label = document.createElement("b");
    label.textContent = name;
    output.replaceChildren(label, " ", texts[point]);
  }

  function leave() {
    shown = null;
    dot.hidden = true;
    output.replaceChildren();
  }

  // Nearest along x above all; a point that is met exactly comes first all the same.
  function nearest(x, y, among) {
    const { curves } = drawn();
    let [best, least] = [null, Infinity];
    for (const curve of among)
      curves[curve].x.forEach((at, point) => {
        const away = (at - x) ** 2 + (0.3 * (curves[curve].y[point] - y)) ** 2;
        if (away < least) [best, least] = [[curve, point], away];
      });
    return best;
  }

  const moves = {
    ArrowLeft: ({ curve, point }) => show(curve, Math.max(point - 1, 0)),
    ArrowRight: ({ curve, point }) => show(curve, Math.min(point + 1, last(curve))),
    ArrowUp: (from) => change(from, -1),
    ArrowDown: (from) => change(from, 1),
    Home: ({ curve }) => show(curve, 0),
    End: ({ curve }) => show(curve, last(curve)),
  };
  const last = (curve) => drawn().curves[curve].x.length - 1;

  function change({ curve, point }, by) {
    const { curves } = drawn();
    const other = (curve + by + curves.length) % curves.length;
    show(...nearest(curves[curve].x[point], curves[curve].y[point], [other]));
  }

  plot.addEventListener("keydown", (event) => {
    if (!(event.key in moves) || !drawn().curves.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (shown || event.key === "End") moves[event.key](shown ?? { curve: 0, point: 0 });
    else show(0, 0);
    dot.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  const follow = (event) => {
    const { size, curves } = drawn();
    const at = plot.getBoundingClientRect();
    const x = ((event.clientX - at.left) / at.width) * size[0];
    const y = ((event.clientY - at.top) / at.height) * size[1];
    const inside = ([left, top, right, bottom]) => left <= x && x <= right && top <= y && y <= bottom;
    const found = nearest(x, y, [...curves.keys()].filter((curve) => inside(curves[curve].box)));
    if (found) show(...found);
    else leave();
  };
  plot.addEventListener("pointermove", follow);
  plot.addEventListener("pointerdown", follow);
  plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || leave());
  plot.addEventListener("blur", leave);
  document.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-label", `Values of the figure, by arrow keys: ${plot.querySelector("title").textContent}`);
  return leave;
}
