(() => {
  "use strict";
  const every = 2000, fresh = document.getElementById("fresh"), tools = document.getElementById("tools");
  const last = new Map();
  const parts = () => document.querySelectorAll("[data-live]");
  parts().forEach((part) => last.set(part.id, part.innerHTML));
  let paused = false, lost = 0;
  const at = (page) => page.getElementById("fresh").textContent.split(";")[0];
  fresh.textContent = at(document);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Pause";
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
  });
  tools.append(button);
  document.addEventListener("click", (event) => {
    const copied = event.target.dataset?.copy;
    if (copied) navigator.clipboard?.writeText(document.getElementById(copied).textContent);
  });
  // What somebody opened stays open, and the focus stays where it was.
  const replace = (old, now) => {
    const open = new Map([...old.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    const scroll = new Map([...old.querySelectorAll(".wide")].map((each) => [each.id, each.scrollLeft]));
    const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.className = now.className;
    old.innerHTML = now.innerHTML;
    open.forEach((is, id) => { const each = document.getElementById(id); if (each) each.open = is; });
    scroll.forEach((left, id) => { const each = document.getElementById(id); if (each) each.scrollLeft = left; });
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  };
  const take = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    parts().forEach((old) => {
      const now = page.getElementById(old.id);
      if (now && last.get(old.id) !== now.innerHTML) {
        last.set(old.id, now.innerHTML);
        replace(old, now);
      }
    });
    document.title = page.title;
    fresh.textContent = at(page);
  };
  const refresh = async () => {
    if (!paused && !document.hidden) {
      try {
        const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(5000) });
        if (!answer.ok) throw new Error(answer.status);
        take(await answer.text());
        lost = 0;
        document.getElementById("stale")?.remove();
      } catch {
        lost += 1;
        if (lost === 2) {
          const stale = document.createElement("span");
          stale.id = "stale";
          stale.textContent = " The exporter does not answer: this is old.";
          stale.setAttribute("role", "alert");
          tools.append(stale);
        }
      }
    }
    setTimeout(refresh, every);
  };
  setTimeout(refresh, every);
})();
