// Panel, dialogs and menus: opening, closing, and where the focus goes and comes back to.
import { listKeys } from "./keys.js";

const panel = document.getElementById("panel");
const dialog = document.getElementById("dialog");
let opener = null;

const remember = (element) => (element ? { element, id: element.id } : null);

// The element itself, or, when a swap has drawn it anew, the one that now has its id.
const goBack = (memory) => {
  const element = memory?.element.isConnected ? memory.element : memory?.id && document.getElementById(memory.id);
  (element || document.getElementById("main"))?.focus({ preventScroll: true });
};

const focusInside = (place) => {
  const wanted =
    place.querySelector("[role=alert][data-focus]") ||
    place.querySelector("[aria-invalid=true]") ||
    place.querySelector("[autofocus]") ||
    place.querySelector("[data-focus]");
  wanted?.focus({ preventScroll: wanted.matches("[tabindex]") });
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dialog]");
  if (button) {
    const wanted = document.getElementById(button.dataset.dialog);
    listKeys(wanted);
    button.closest("details")?.removeAttribute("open");
    wanted.showModal();
  }
  if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog")?.close();
  const close = event.target.closest("[data-panel-close]");
  if (close && panel?.contains(close) && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    closePanel(close.getAttribute("href"));
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest("a.menu__item")) menu.open = false;
  }
});

const closePanel = (url) => {
  panel.replaceChildren();
  history.pushState({ htmx: true }, "", url);
  document.body.dispatchEvent(new CustomEvent("panel-closed"));
  goBack(opener);
};

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const menu = event.target.closest?.("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (panel?.contains(event.target)) {
    const close = panel.querySelector("[data-panel-close]");
    if (close) closePanel(close.getAttribute("href"));
  }
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = event.detail;
  if ((target === panel || target === dialog) && !target.contains(elt)) opener = remember(elt);
});

document.addEventListener("htmx:afterSwap", (event) => {
  const { target, requestConfig, xhr } = event.detail;
  if (target === dialog && xhr.responseText.trim() && !dialog.open) dialog.showModal();
  // What a user asked for takes the focus; what refreshes by itself (polls, events, morphs) must not.
  const asked = ["click", "submit"].includes(requestConfig?.triggeringEvent?.type) || !requestConfig?.triggeringEvent;
  const morphed = requestConfig?.elt?.getAttribute("hx-swap")?.startsWith("morph");
  if (asked && !morphed && [panel, dialog, document.getElementById("main")].includes(target)) focusInside(target);
});

// A form in the dialog that was accepted closes it; one that was refused is drawn again inside it.
document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, target, successful, xhr } = event.detail;
  const leaves = target !== dialog || xhr.getResponseHeader("HX-Location");
  if (dialog?.open && successful && leaves && dialog.contains(elt) && !dialog.contains(target === dialog ? null : target)) {
    dialog.close();
  }
});

dialog?.addEventListener("close", () => {
  dialog.replaceChildren();
  goBack(opener);
});

// The link of the rail that the address belongs to, after a swap of the main pane.
document.addEventListener("htmx:pushedIntoHistory", () => {
  for (const link of document.querySelectorAll(".rail__link")) {
    const here = location.pathname === link.pathname || location.pathname.startsWith(`${link.pathname}/`);
    if (here) {
      document.querySelector(".rail__link[aria-current]")?.removeAttribute("aria-current");
      link.setAttribute("aria-current", "page");
    }
  }
});
