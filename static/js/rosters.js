// The roster's own help: a head's checkbox chooses its row or column; without JavaScript those are not there.
const grid = () => document.querySelector(".roster");

const show = () => {
  for (const one of document.querySelectorAll(".roster [data-row][hidden], .roster [data-column][hidden]")) one.hidden = false;
};

document.addEventListener("change", (event) => {
  const { row, column } = event.target.dataset ?? {};
  if (!grid()?.contains(event.target) || (row === undefined && column === undefined)) return;
  const cells = row === undefined ? `[data-of-column="${column}"]` : `[data-of-row="${row}"]`;
  for (const one of grid().querySelectorAll(cells)) one.checked = event.target.checked;
});

document.addEventListener("htmx:load", show);
show();
