// A search box and its results are one thing for the keyboard: the arrows walk from the box through the links and back.
// Enter in the box submits its form, which works without any of this.
document.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  for (const box of document.querySelectorAll("search input[type=search][hx-target]")) {
    const results = document.querySelector(box.getAttribute("hx-target"));
    const stops = [box, ...(results?.querySelectorAll("a") ?? [])];
    const at = stops.indexOf(event.target);
    if (at < 0) continue;
    event.preventDefault();
    stops[at + by]?.focus();
    return;
  }
});
