// Single-key shortcuts. An element with data-key="n" is clicked (a field: focused) by that key; what it does is read from
// data-key-label, aria-label or its text. The list under "?" is made from what the page holds, so it is never out of date.
// They can be switched off per device (WCAG 2.1.4).
const OFF = "spa-keys-off";

const stored = () => {
  try {
    return localStorage.getItem(OFF) === "1";
  } catch {
    return false;
  }
};

const typing = (target) => target.closest("input, select, textarea, [contenteditable]") !== null;

const usable = (element) => !element.disabled && (element.checkVisibility() || element.closest("details:not([open])"));

const find = (key) =>
  [...document.querySelectorAll("[data-key]")].reverse().find((element) => element.dataset.key === key && usable(element));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (stored() || typing(event.target) || document.querySelector("dialog[open]")) return;
  const element = find(event.key);
  if (!element) return;
  event.preventDefault();
  if (element.matches("input, select, textarea")) {
    element.focus();
    element.select?.();
  } else {
    element.click();
  }
});

// Ctrl+Enter sends the form one is in, from whichever field: long forms need no walk to their end.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented || event.isComposing) return;
  const send = event.target.closest?.("form")?.querySelector(".button--primary:not([disabled])");
  if (!send) return;
  event.preventDefault();
  send.click();
});

// The list is filled when its dialog opens.
export const listKeys = (dialog) => {
  const list = dialog.querySelector("[data-keys-list]");
  if (!list) return;
  list.querySelectorAll("[data-listed]").forEach((row) => row.remove());
  for (const element of document.querySelectorAll("[data-key]")) {
    if (!usable(element)) continue;
    const term = document.createElement("dt");
    const key = document.createElement("kbd");
    key.textContent = element.dataset.key;
    term.append(key);
    const says = document.createElement("dd");
    says.textContent = element.dataset.keyLabel || element.getAttribute("aria-label") || element.textContent.trim();
    for (const row of [term, says]) {
      row.dataset.listed = "";
      list.append(row);
    }
  }
  const box = dialog.querySelector("[data-keys-switch]");
  box.checked = !stored();
  box.onchange = () => {
    try {
      localStorage.setItem(OFF, box.checked ? "0" : "1");
    } catch {
      box.checked = true;
    }
  };
};
