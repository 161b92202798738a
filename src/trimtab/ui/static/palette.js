// Ctrl K: every page and whatever this page links to, found by typing.
export function palette() {
  let dialog;

  function build() {
    dialog = document.createElement("dialog");
    dialog.className = "palette";
    dialog.setAttribute("aria-label", "Go to");
    const input = document.createElement("input");
    input.placeholder = "Go to a page, a run, a model …";
    input.setAttribute("aria-label", "Go to");
    const list = document.createElement("ul");
    dialog.append(input, list);
    document.body.append(dialog);

    const seen = new Set();
    const links = [...document.querySelectorAll(".nav a, main a[href^='/ui']")].filter((a) => {
      const fresh = a.textContent.trim() && !seen.has(a.href);
      seen.add(a.href);
      return fresh;
    });
    const items = links.map((a) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = a.href;
      link.textContent = a.textContent.trim();
      if (a.dataset.key) {
        const key = document.createElement("kbd");
        key.textContent = `g ${a.dataset.key}`;
        link.append(key);
      }
      item.append(link);
      list.append(item);
      return item;
    });

    let at = 0;
    const shown = () => items.filter((item) => !item.hidden);
    const mark = () => shown().forEach((item, i) => item.firstChild.setAttribute("aria-selected", String(i === at)));
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      items.forEach((item) => { item.hidden = !words.every((w) => item.textContent.toLowerCase().includes(w)); });
      at = 0;
      mark();
    });
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        at = Math.min(Math.max(at + step, 0), shown().length - 1);
        mark();
        shown()[at]?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "Enter") {
        const link = shown()[at]?.firstChild;
        if (link) location.href = link.href;
      }
    });
    mark();
  }

  return () => {
    if (!dialog) build();
    dialog.showModal();
    dialog.querySelector("input").select();
  };
}
