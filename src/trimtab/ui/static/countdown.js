// Spans marked data-left count down the seconds that were left when the page was drawn.
const begun = new WeakMap();

function said(seconds) {
  for (const [size, unit, small, below] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const first = Math.floor(seconds / size);
      const rest = Math.floor((seconds % size) / small);
      return rest && first < 10 ? `${first} ${unit} ${rest} ${below}` : `${first} ${unit}`;
    }
  }
  return `${Math.floor(seconds)} s`;
}

export function countdowns() {
  const tick = () => {
    for (const element of document.querySelectorAll("[data-left]")) {
      if (!begun.has(element)) begun.set(element, performance.now());
      const left = Number(element.dataset.left) - (performance.now() - begun.get(element)) / 1000;
      element.textContent = left > 0 ? said(left) : "0 s";
    }
  };
  if (document.querySelector("[data-left]")) setInterval(tick, 1000);
}
