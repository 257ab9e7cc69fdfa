// The sum of a drawer while it is counted, and Enter that goes on to the next note. Without scripts "Add up" asks the
// server, and Tab does.
const whole = (text) => (/^\d+$/.test(text.trim()) ? Number(text) : 0);

const addUp = (form) => {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: form.dataset.currency });
  const unit = 10 ** format.resolvedOptions().maximumFractionDigits;
  let sum = 0;
  for (const input of form.querySelectorAll("[data-note]")) {
    const worth = whole(input.value) * Number(input.dataset.worth);
    input.parentElement.querySelector("[data-line]").textContent = worth ? format.format(worth / unit) : "";
    sum += worth;
  }
  const other = form.querySelector("[data-other]").value;
  if (unit === 1) sum += Number(other.replace(/\D/g, ""));
  else sum += Math.round(Number(other.replace(/[^\d.,]/g, "").replace(/[.,](?=\d{3})/g, "").replace(",", ".")) * unit) || 0;
  form.querySelector("[data-sum]").textContent = format.format(sum / unit);
};

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-count]");
  if (form) addUp(form);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || !event.target.matches("[data-note]")) return;
  const fields = [...event.target.form.querySelectorAll("[data-note], [data-other]")];
  event.preventDefault();
  fields[fields.indexOf(event.target) + 1].focus();
});

for (const form of document.querySelectorAll("[data-count]")) {
  form.querySelector("[data-add-up]").hidden = true;
  addUp(form);
}
