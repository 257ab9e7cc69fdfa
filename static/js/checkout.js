// Small helps at the till: amounts filled in by a button, the change while it is typed, and printing. Without scripts the
// fields are typed by hand and the change is told after the payment.
const amountOf = (input, digits) => {
  const text = input?.value.trim() ?? "";
  if (!digits) return Number(text.replace(/\D/g, ""));
  const [, whole, fraction] = /^(.*?)(?:[.,](\d{1,2}))?$/.exec(text.replace(/[^\d.,]/g, ""));
  return Number(`${whole.replace(/\D/g, "")}.${fraction ?? 0}`);
};

const showChange = (form) => {
  const line = form.querySelector("[data-change]");
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: form.dataset.currency });
  const digits = format.resolvedOptions().maximumFractionDigits;
  const tendered = amountOf(form.querySelector("[data-tendered]"), digits);
  const change = tendered - amountOf(form.querySelector("[data-amount]"), digits);
  line.hidden = !tendered || change < 0;
  line.querySelector("[data-change-figure]").textContent = format.format(change);
};

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
  const button = event.target.closest("[data-fill]");
  if (!button) return;
  const field = button.form.elements[button.dataset.fill];
  field.value = button.dataset.value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
});

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-checkout]");
  if (form) showChange(form);
});

// A deposit that is offered first fills in no more than it holds: with another way it is all that is left again.
document.addEventListener("change", (event) => {
  const form = event.target.name === "method" && event.target.closest("[data-checkout]");
  const amount = form && form.querySelector("[data-amount]");
  if (!amount || ![amount.defaultValue, form.dataset.due].includes(amount.value)) return;
  amount.value = event.target.defaultChecked ? amount.defaultValue : form.dataset.due;
  showChange(form);
});
