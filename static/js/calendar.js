// The calendar: visits and free times open beside it, the grid is one tab stop that arrow keys walk through, and the line of
// the present moves on. Everything is found anew in the page each time, so swaps need no set-up but the one tab stop.
/* global htmx */
export const ROW = 5 * 60 * 1000;
const HOUR_ROWS = 12;

export const panel = document.getElementById("panel");
export const poller = () => document.getElementById("calendar-poll");
export const scroller = () => document.getElementById("calendar-scroll");
const grid = () => document.querySelector(".cal-grid");
export const columns = () => [...document.querySelectorAll(".cal-col")];
// Blocked time is no link for a therapist: nothing to stop at.
const CELL = "[role=gridcell]:has(> a), [role=rowheader]:has(> a.cal-head__name)";
const cellsOf = (column) => [...column.querySelectorAll(CELL)];
const cellOf = (element) => element.closest?.(".cal-grid")?.contains(element) && element.closest(CELL);
const linkOf = (cell) => cell.querySelector("a");
const bookingOf = (link) => new URL(link.href).pathname.match(/^\/bookings\/(\d+)$/)?.[1];

// The heading of a column stands before its first row.
export const span = (cell) => {
  if (cell.matches("[role=rowheader]")) return { row: -1, end: 0 };
  const [, row, rows] = cell.className.match(/\br(\d+) s(\d+)\b/);
  return { row: Number(row), end: Number(row) + Number(rows) };
};

// ── One tab stop, and where it was before the grid was drawn anew
let place = null; // {column, row}: row is kept while walking sideways
let scrolled = null;
let hadFocus = false;

const cellAt = (column, row) => {
  const cells = cellsOf(column);
  return cells.find((cell) => span(cell).row <= row && row < span(cell).end) || cells.find((cell) => span(cell).row >= row) || cells.at(-1);
};

const setTabStop = (cell) => {
  for (const link of grid().querySelectorAll("a")) link.tabIndex = -1;
  if (cell) linkOf(cell).tabIndex = 0;
};

const currentCell = () => {
  const all = columns();
  const now = document.getElementById("calendar-now");
  const column = all[Math.min(place?.column ?? 0, all.length - 1)];
  return column && cellAt(column, place?.row ?? (now ? Number(now.className.match(/\br(\d+)\b/)[1]) : 0));
};

const focusCell = (cell) => {
  setTabStop(cell);
  linkOf(cell).focus();
};

document.addEventListener("focusin", (event) => {
  const cell = cellOf(event.target);
  if (!cell) return;
  const column = columns().indexOf(cell.closest(".cal-col"));
  const { row, end } = span(cell);
  // Sideways along a line of time: a longer visit on the way does not change the time.
  if (!place || place.row < row || place.row >= end) place = { column, row };
  else place.column = column;
  setTabStop(cell);
});

// ── Walking
const step = (cell, key) => {
  const all = columns();
  const column = cell.closest(".cal-col");
  const cells = cellsOf(column);
  const at = cells.indexOf(cell);
  const sideways = (by) => {
    for (let index = all.indexOf(column) + by; index >= 0 && index < all.length; index += by) {
      const next = cellAt(all[index], place.row);
      if (next) return next;
    }
    return null;
  };
  switch (key) {
    case "ArrowDown":
      return cells[at + 1];
    case "ArrowUp":
      return cells[at - 1];
    case "ArrowRight":
      return sideways(1);
    case "ArrowLeft":
      return sideways(-1);
    case "PageDown":
      return cellAt(column, span(cell).row + HOUR_ROWS);
    case "PageUp":
      return cellAt(column, Math.max(0, span(cell).row - HOUR_ROWS));
    case "Home":
      return cells.find((one) => span(one).row >= 0);
    case "End":
      return cells.at(-1);
    default:
      return undefined;
  }
};

const ACTIONS = { s: "start", c: "complete", m: "move" };

// Before keys.js: within the grid a key is about the place in focus.
document.addEventListener(
  "keydown",
  (event) => {
    const cell = cellOf(event.target);
    if (!cell || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const next = step(cell, event.key);
    if (next !== undefined) {
      event.preventDefault();
      if (!next || next === cell) return;
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") place = null;
      focusCell(next);
      return;
    }
    const link = linkOf(cell);
    const isVisit = bookingOf(link) !== undefined;
    if (event.key === " " || (event.key === "n" && link.closest(".cal-slot"))) {
      event.preventDefault();
      link.click();
    } else if (event.key in ACTIONS && isVisit) {
      event.preventDefault();
      act(link, ACTIONS[event.key]);
    }
  },
  true,
);

// ── Opening beside the grid, with the panel in the address
const FORMS = { "/walk-ins/new": "walk-in", "/blocks": "block", "/affected": "absence" };

export const addressOf = (link) => {
  const address = new URL(document.getElementById("calendar").dataset.url, location.href);
  const booking = bookingOf(link);
  if (booking) address.searchParams.set("booking", booking);
  else {
    address.searchParams.set("new", FORMS[new URL(link.href).pathname] ?? "1");
    for (const [name, value] of new URL(link.href).searchParams) if (name !== "branch_id") address.searchParams.set(name, value);
  }
  return address.pathname + address.search;
};

// The source is what stands in the page, where the address itself does not.
export const open = (link, source = link) => {
  waiting = null;
  const { pathname, search } = new URL(link.href);
  htmx.ajax("GET", pathname + search, { source, target: "#panel", swap: "innerHTML", push: addressOf(link) });
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(link);
});

// Start, complete and move are the panel's own forms: it says which of them the visit allows now.
const formFor = (id, action) => panel.querySelector(`form[action$="/bookings/${id}/${action}"]`);

let waiting = null; // {id, action}: to be done once the panel shows that visit

const perform = ({ id, action }) => {
  const form = formFor(id, action);
  if (!form) return;
  if (action === "move") {
    form.closest("details")?.setAttribute("open", "");
    form.querySelector("input:not([type=hidden]), select")?.focus();
  } else {
    form.requestSubmit();
  }
};

const act = (link, action) => {
  const wanted = { id: bookingOf(link), action };
  if (panel.querySelector(`form[action*="/bookings/${wanted.id}/"]`)) perform(wanted);
  else {
    open(link);
    waiting = wanted;
  }
};

// Not before the panel has settled: until then its forms are plain ones.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target !== panel || !waiting) return;
  const wanted = waiting;
  waiting = null;
  perform(wanted);
});

export const markOpen = () => {
  const view = document.getElementById("calendar");
  if (!view) return;
  for (const element of view.querySelectorAll("[data-open]")) element.removeAttribute("data-open");
  const query = new URLSearchParams(location.search);
  const booking = query.get("booking");
  for (const link of view.querySelectorAll("a[data-opens]")) {
    const wanted = new URL(link.href);
    if (booking && wanted.pathname === `/bookings/${booking}`) link.closest("[data-status]").setAttribute("data-open", "");
    const free = query.get("new") && link.parentElement.matches(".cal-slot");
    if (free && [...wanted.searchParams].every(([name, value]) => query.get(name) === value)) link.setAttribute("data-open", "");
  }
};

for (const changed of ["htmx:pushedIntoHistory", "panel-closed"]) document.addEventListener(changed, markOpen);

// The panel stays while the day changes under it, so its address does too.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, parameters } = event.detail;
  if (!elt.matches("[data-keeps-panel]") || !panel.childElementCount) return;
  const query = new URLSearchParams(location.search);
  const said = new URL(event.detail.path, location.href).searchParams;
  for (const name of ["booking", "new", "starts_at", "staff_id", "resource_id", "service_id", "minutes", "customer_id"]) {
    // Whose week is asked for is not the panel's therapist.
    if (query.has(name) && !said.has(name) && parameters[name] === undefined) parameters[name] = query.get(name);
  }
});

// ── The present
let skew = 0;

const moveNow = () => {
  const line = document.getElementById("calendar-now");
  const axis = document.getElementById("calendar-axis");
  if (!line || !axis) return;
  const row = Math.round((Date.now() + skew - Date.parse(axis.dataset.start)) / ROW);
  // One piece beside the hours and one behind the visits of each column.
  for (const piece of document.querySelectorAll(".cal-now")) {
    piece.className = `cal-now r${row} s1`;
    piece.hidden = row >= Number(axis.dataset.rows);
  }
};

// How long a held place still is: in minutes, beside the time of day that the server wrote.
const countDown = () => {
  for (const held of document.querySelectorAll("[data-until]")) {
    held.dataset.left = Math.max(0, Math.ceil((Date.parse(held.dataset.until) - Date.now() - skew) / 60_000));
  }
};

const tick = () => {
  moveNow();
  countDown();
};

setInterval(tick, 10_000);

// ── After each drawing
const setUp = (fresh) => {
  if (!document.getElementById("calendar")) return;
  markOpen();
  const axis = document.getElementById("calendar-axis");
  if (!axis) return;
  // The desk's own clock may be wrong; the server's is what counts.
  skew = Date.parse(document.getElementById("calendar-revision").dataset.now) - Date.now();
  countDown();
  if (fresh) {
    const line = document.getElementById("calendar-now");
    const target = scrolled || { top: line ? line.offsetTop - scroller().clientHeight / 3 : 0, left: 0 };
    scroller().scrollTo({ ...target, behavior: "instant" });
  }
  const cell = currentCell();
  setTabStop(cell);
  if (hadFocus && cell && !grid().contains(document.activeElement)) linkOf(cell).focus({ preventScroll: true });
  hadFocus = false;
};

document.addEventListener(
  "scroll",
  (event) => {
    if (event.target === scroller()) scrolled = { top: event.target.scrollTop, left: event.target.scrollLeft };
  },
  true,
);

document.addEventListener("htmx:beforeSwap", (event) => {
  if (["calendar", "main"].includes(event.detail.target.id)) hadFocus = grid()?.contains(document.activeElement) ?? false;
});

document.addEventListener("htmx:afterSwap", (event) => {
  const { target } = event.detail;
  if (target.id === "calendar") setUp(false);
  if (target.id === "main") setUp(true);
  // The grid has become narrower: what was opened stays in sight.
  if (target === panel) document.querySelector("#calendar [data-open]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
});

// Nobody looks: nothing is asked. It is made up for as soon as somebody does.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt === poller()) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && poller()) htmx.trigger(poller(), "look");
});

setUp(true);
