// Parts marked data-live are fetched again when the ledger has grown, and swapped one by one; those marked
// data-live="often" every two seconds as well, since the progress of a step is no event.
const OFTEN_MS = 2000;

export function live() {
  if (!document.querySelector("[data-live]") || !window.EventSource) return;
  let known = document.body.dataset.known;
  let source = null;
  let timer = null;

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      const busy = old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
      if (fresh && !busy && fresh.innerHTML !== old.innerHTML) old.replaceWith(follow(old, document.importNode(fresh, true)));
    }
  }

  // A log that was read to its end goes on showing its end; one that was scrolled back stays where it is.
  function follow(old, fresh) {
    const before = old.querySelector(".log");
    const after = fresh.querySelector(".log");
    if (before && after) {
      const atEnd = before.scrollHeight - before.scrollTop - before.clientHeight < 8;
      const at = before.scrollTop;
      requestAnimationFrame(() => { after.scrollTop = atEnd ? after.scrollHeight : at; });
    }
    return fresh;
  }

  function listen() {
    source = new EventSource("/api/v1/live");
    source.onmessage = (message) => {
      if (message.data !== known) refresh();
      known = message.data;
    };
    timer = setInterval(() => { if (document.querySelector('[data-live="often"]')) refresh(); }, OFTEN_MS);
  }
  function rest() {
    source?.close();
    clearInterval(timer);
  }
  // A page that nobody looks at holds no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) rest();
    else listen();
  });
  addEventListener("pagehide", rest);
  if (!document.hidden) listen();
}
