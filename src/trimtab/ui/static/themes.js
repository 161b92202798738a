// The button that goes through light, dark and the system's own.
const NEXT = { "": "light", light: "dark", dark: "" };
const NAMES = { "": "System", light: "Light", dark: "Dark" };

export function themes() {
  const button = document.querySelector("[data-theme-button]");
  if (!button) return;
  const show = () => { button.textContent = NAMES[localStorage.getItem("theme") ?? ""]; };
  button.addEventListener("click", () => {
    const next = NEXT[localStorage.getItem("theme") ?? ""];
    if (next) {
      localStorage.setItem("theme", next);
      document.documentElement.dataset.theme = next;
    } else {
      localStorage.removeItem("theme");
      delete document.documentElement.dataset.theme;
    }
    show();
  });
  button.hidden = false;
  show();
}
