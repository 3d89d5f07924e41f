"use strict";
const every = 3000, stale = document.getElementById("stale");
async function refresh() {
  if (document.hidden || String(getSelection())) return;  // nobody looks, or somebody copies
  try {
    const answer = await fetch("status", {cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.title = fresh.title;
    stale.hidden = true;
  } catch { stale.hidden = false; }
}
setInterval(refresh, every);
document.addEventListener("visibilitychange", refresh);
