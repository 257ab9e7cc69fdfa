// What happens around a request: the progress bar, one submission at a time, and failures that bring no page of their own.
import { showToast } from "./toasts.js";

const progress = document.getElementById("progress");
let running = 0;

const quiet = (element) => element.closest("[data-quiet]") !== null;

const count = (step) => {
  running = Math.max(0, running + step);
  progress.toggleAttribute("data-busy", running > 0);
};

const setBusy = (form, busy) => {
  form.toggleAttribute("data-busy", busy);
  for (const button of form.querySelectorAll("button:not([type=button])")) {
    if (busy) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  }
};

// A plain form: the second click of a double click is dropped; the page that comes is the answer to the first. A download
// brings no page.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("data-downloads")) return;
  if (form.hasAttribute("data-busy")) event.preventDefault();
  else setBusy(form, true);
});

// A page that comes back from the browser's memory has nothing under way.
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-busy]").forEach((form) => setBusy(form, false)));

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt } = event.detail;
  if (elt.matches("form") && event.detail.requestConfig.verb !== "get") {
    if (elt.hasAttribute("data-busy")) {
      event.preventDefault();
      return;
    }
    setBusy(elt, true);
  }
  event.detail.xhr.counted = !quiet(elt);
  if (event.detail.xhr.counted) count(1);
});

// xhr's own loadend would come before the swap; this one comes after it, also when the element is gone by then.
document.addEventListener("htmx:beforeSend", (event) => {
  const { xhr, elt } = event.detail;
  xhr.addEventListener("loadend", () => {
    if (xhr.counted) count(-1);
    if (elt.matches("form")) setBusy(elt, false);
  });
});

for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    if (!quiet(event.detail.elt)) showToast(document.body.dataset.offline);
  });
}

document.addEventListener("htmx:responseError", (event) => {
  if (!quiet(event.detail.elt)) showToast(document.body.dataset.failed);
});
