// The squares of a treatment card are one tab stop: arrows, Home and End walk those that can tell something.
const squaresOf = (group) => [...group.querySelectorAll("[data-tip]")];

document.addEventListener("keydown", (event) => {
  const square = event.target.closest?.("[data-rove] [data-tip]");
  if (!square) return;
  const squares = squaresOf(square.closest("[data-rove]"));
  const index = squares.indexOf(square);
  const goal = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1, Home: 0, End: squares.length - 1 }[event.key];
  if (goal === undefined) return;
  event.preventDefault();
  const next = squares[Math.min(Math.max(goal, 0), squares.length - 1)];
  for (const one of squares) one.tabIndex = one === next ? 0 : -1;
  next.focus();
});

// A tip near the right edge opens to the left.
const place = (event) => {
  const square = event.target.closest?.(".session[data-tip]");
  if (!square) return;
  const group = square.parentElement.getBoundingClientRect();
  square.toggleAttribute("data-tip-end", square.getBoundingClientRect().left > group.left + group.width / 2);
};
document.addEventListener("pointerover", place);
document.addEventListener("focusin", place);
