for (const plot of document.querySelectorAll(".plot")) {
  const drawn = { size: JSON.parse(plot.dataset.size), curves: JSON.parse(plot.dataset.curves) };
  if (drawn.curves.length) speak(plot, () => drawn);
}
for (const hint of document.querySelectorAll(".hint")) hint.hidden = !document.querySelector(".plot[tabindex]");
