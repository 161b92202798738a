// Keys: / filters, j k walk rows, x chooses, c compares, g and a letter goes to a page, Ctrl K opens the palette.
export function keys({ openPalette, select }) {
  let going = false;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea") || document.querySelector("dialog[open]")) return;
    if (going) {
      going = false;
      const link = document.querySelector(`.nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) location.href = link.href;
      return;
    }
    const act = {
      "/": () => document.querySelector(".filters input")?.focus(),
      "?": () => openPalette(),
      g: () => { going = true; setTimeout(() => { going = false; }, 1200); },
      j: () => select.go(1),
      k: () => select.go(-1),
      x: () => select.choose(),
      c: () => select.compare(),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
}
