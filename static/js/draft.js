// The booking form while it is drawn anew: what somebody does before the answer is there must not be lost. A later request
// replaces an earlier one (hx-sync), so it says what the earlier one's button said; what was typed meanwhile is put back.
const FORM = "booking-form";
const formOf = () => document.getElementById(FORM);
const isRedraw = (path) => path.endsWith("/bookings/form");

const forget = (form) => form?.querySelectorAll("[data-pressed]").forEach((input) => input.remove());

document.addEventListener("htmx:configRequest", (event) => {
  const { elt, path, parameters } = event.detail;
  const form = formOf();
  if (!form || !isRedraw(path) || !elt.matches("button[name]")) return;
  form.querySelectorAll(`[data-pressed][name="${elt.name}"]`).forEach((input) => input.remove());
  parameters[elt.name] = elt.value;
  const pressed = document.createElement("input");
  Object.assign(pressed, { type: "hidden", name: elt.name, value: elt.value });
  pressed.dataset.pressed = "";
  form.prepend(pressed);
  // The booking itself knows no free-time button, only the time.
  if (elt.name === "slot") form.elements.starts_at.value = elt.value;
});

const typed = () => [...formOf().elements].filter((field) => field.name && field.matches("input:not([type=hidden]), select, textarea"));
const valueOf = (field) => (field.type === "checkbox" ? field.checked : field.value);

document.addEventListener("htmx:beforeRequest", (event) => {
  const { xhr, requestConfig } = event.detail;
  if (formOf() && isRedraw(requestConfig.path)) xhr.sent = new Map(typed().map((field) => [field.name, valueOf(field)]));
});

let later = [];

document.addEventListener("htmx:beforeSwap", (event) => {
  const { sent } = event.detail.xhr;
  if (!sent || !formOf()) return;
  later = typed().filter((field) => sent.has(field.name) && sent.get(field.name) !== valueOf(field)).map((field) => [field.name, valueOf(field)]);
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!event.detail.xhr.sent) return;
  const form = formOf();
  forget(form);
  for (const [name, value] of later) {
    const field = form?.elements[name];
    if (field?.type === "checkbox") field.checked = value;
    else if (field) field.value = value;
  }
  later = [];
});

for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    if (event.detail.xhr.sent) forget(formOf());
  });
}
