// Rows that can be chosen: j and k move, x chooses, Enter opens, c compares what is chosen.
export function selection() {
  const rows = () => [...document.querySelectorAll("table[data-rows] tbody tr")];
  let at = -1;

  function go(step) {
    const all = rows();
    if (!all.length) return;
    at = Math.min(Math.max(at + step, 0), all.length - 1);
    all.forEach((row, i) => row.toggleAttribute("data-at", i === at));
    const link = all[at].querySelector("a");
    if (link) link.focus();
    all[at].scrollIntoView({ block: "nearest" });
  }

  function choose() {
    const box = rows()[at]?.querySelector("input[type=checkbox]");
    if (box) box.click();
  }

  function compare() {
    const form = document.querySelector("form[data-compare]");
    if (form && form.querySelectorAll("input:checked").length > 1) form.requestSubmit();
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches("table[data-rows] input[type=checkbox]")) return;
    const row = event.target.closest("tr");
    row.setAttribute("aria-selected", String(event.target.checked));
    const form = event.target.closest("form");
    const button = form.querySelector("[data-compare-button]");
    if (button) button.disabled = form.querySelectorAll("input:checked").length < 2;
  });
  return { go, choose, compare };
}
