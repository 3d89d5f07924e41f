// Proposals light up under the pointer, in the picture and in the list. `tip` is the page's #tip.
function highlight(root, k) {
  root.classList.toggle("hot", k !== null);
  for (const e of root.querySelectorAll("[data-k]")) e.classList.toggle("on", e.dataset.k === k);
}
function describe(p) {
  const d = p.dataset, label = d.label ? d.label + " · " : "";
  return `${label}score ${(+d.score).toFixed(2)} · ${(100 * d.share).toFixed(1)} % of the image · ${d.source}`;
}
function watch(root, inside, tipped) {
  root.addEventListener("mouseover", e => {
    const item = e.target.closest("[data-k]"), box = e.target.closest(inside);
    for (const old of [root, ...root.querySelectorAll(".hot")]) highlight(old, null);
    if (!item || !box) { tip.hidden = true; return; }
    highlight(box, item.dataset.k);
    tip.textContent = describe(box.querySelector(`path[data-k="${item.dataset.k}"]`)); tip.hidden = !tipped;
  });
  root.addEventListener("mouseleave", () => {
    for (const old of [root, ...root.querySelectorAll(".hot")]) highlight(old, null);
    tip.hidden = true;
  });
}
addEventListener("mousemove", e => {
  tip.style.left = Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(e.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
});
