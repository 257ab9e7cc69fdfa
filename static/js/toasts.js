// Toasts go by themselves after a while, but not while they are pointed at or hold the focus; one with an undo stays longer.
const region = document.getElementById("toasts");
const SHORT = 6000;
const LONG = 12000;

const arm = (toast) => {
  if (toast.hasAttribute("data-armed")) return;
  toast.setAttribute("data-armed", "");
  const wait = () => {
    if (toast.matches(":hover, :focus-within")) setTimeout(wait, 1500);
    else toast.remove();
  };
  setTimeout(wait, toast.querySelector("form") || toast.matches(".toast--danger") ? LONG : SHORT);
};

const armAll = () => region.querySelectorAll("[data-toast]").forEach(arm);

// What an answer says takes the place of what an earlier one said: they would pile up over the calendar.
const takeTurns = (changes) => {
  if (changes.some((change) => change.addedNodes.length)) region.querySelectorAll("[data-armed]:not(:hover, :focus-within)").forEach((toast) => toast.remove());
  armAll();
};

// A message that no server could bring.
export const showToast = (message) => {
  const toast = document.createElement("div");
  toast.className = "toast toast--danger";
  toast.dataset.toast = "";
  const text = document.createElement("span");
  text.className = "toast__text";
  text.textContent = message;
  toast.append(text);
  region.replaceChildren(toast);
};

document.addEventListener("click", (event) => event.target.closest("[data-toast-close]")?.closest("[data-toast]").remove());
// An undo that was used has done its work. Captured, because htmx stops the event on its way up.
document.addEventListener(
  "submit",
  (event) => {
    const toast = event.target.closest("[data-toast]");
    if (toast) toast.hidden = true;
  },
  true,
);
new MutationObserver(takeTurns).observe(region, { childList: true });
armAll();
