// Parts marked data-live are fetched again when the ledger has grown, and swapped one by one.
export function live() {
  if (!document.querySelector("[data-live]") || !window.EventSource) return;
  let known = null;
  let source = null;

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      const busy = old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
      if (fresh && !busy && fresh.innerHTML !== old.innerHTML) old.replaceWith(document.importNode(fresh, true));
    }
  }

  function listen() {
    source = new EventSource("/api/v1/live");
    source.onmessage = (message) => {
      if (known !== null && message.data !== known) refresh();
      known = message.data;
    };
  }
  // A page that nobody looks at holds no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else { known = known === null ? null : ""; listen(); }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) listen();
}
