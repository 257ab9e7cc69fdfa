// The day by mouse, pen and finger: free time is drawn, visits are carried to another place and stretched at their lower
// edge. A drop is sent as the form that moves a visit, so it is checked and refused like that one; a refusal leaves the
// block where it was. A finger or pen has to rest on the place for a moment first, so that the page still scrolls.
/* global htmx */
import { addressOf, columns, markOpen, open, panel, poller, ROW, scroller, span } from "./calendar.js";
import { showToast } from "./toasts.js";

const REST = 350; // milliseconds until a finger lifts what is under it
const NEAR = 5; // pixels within which a press is still a click
const RIM = 40; // pixels from the rim of the grid in which it scrolls along

const axis = () => document.getElementById("calendar-axis");
const bodyOf = (column) => column.querySelector(".cal-body");
const rowHeight = () => axis().querySelector(".cal-hour").offsetHeight / 12;
const rowAt = (column, y) => (y - bodyOf(column).getBoundingClientRect().top) / rowHeight();
const slotsOf = (column) => [...column.querySelectorAll(".cal-slot")];
const nearest = (wanted, rows) => rows.reduce((best, row) => (Math.abs(row - wanted) < Math.abs(best - wanted) ? row : best));

// ── Time: rows count from the axis's start, the clocks are the branch's
const instant = (row) => Date.parse(axis().dataset.start) + row * ROW;
const local = (at) =>
  new Intl.DateTimeFormat("sv", { timeZone: axis().dataset.zone, dateStyle: "short", timeStyle: "short" }).format(at).replace(" ", "T");
const clock = (at) => local(at).slice(-5);
// A row is a line of five minutes; the visit itself may begin beside it.
const exactly = (row, time) => {
  const beside = Number(time.slice(-2)) % 5;
  return instant(row) + (beside > 2 ? beside - 5 : beside) * 60_000;
};

let grip = null; // what is held, from the press until the answer is drawn
let dragged = false; // the click that ends a drag opens nothing
let missed = false; // news that had to wait

const isMouse = (event) => event.pointerType === "mouse";

const inEdge = (cell, event) => {
  const { bottom, height } = cell.getBoundingClientRect();
  return event.clientY > bottom - Math.min(isMouse(event) ? 8 : 20, height / 3);
};

// What is held, with where it was: rows, instants, and the other blocks of the same visit.
const takeUp = (cell, event) => {
  const column = cell.closest(".cal-col");
  const link = cell.querySelector("a");
  const { row, end } = span(cell);
  const held = { cell, column, link, row, end, pointer: event.pointerId, x: event.clientX, y: event.clientY, fromX: event.clientX, fromY: event.clientY };
  held.grabbed = rowAt(column, event.clientY) - row;
  held.to = { column, row, end };
  if (cell.matches(".cal-slot")) return { ...held, mode: "draw", peers: [] };
  const [, from, until] = link.getAttribute("aria-label").match(/(\d\d:\d\d)–(\d\d:\d\d)/);
  const [item, version, after] = cell.dataset.drag.split(".").map(Number);
  const same = [...document.querySelectorAll(".cal-visit[data-drag]")].filter((one) => one !== cell && one.querySelector("a").href === link.href);
  const peers = same.map((one) => ({ one, ...span(one), isSame: Number(one.dataset.drag.split(".")[0]) === item }));
  const mode = inEdge(cell, event) ? "stretch" : "move";
  return { ...held, mode, peers, item, version, after, from: exactly(row, from), until: exactly(end, until) };
};

// ── Where it would go
const columnAt = (x) => {
  const all = columns();
  return all.find((column) => x < column.getBoundingClientRect().right) ?? all.at(-1);
};

const snap = (wanted, others) => {
  const step = Number(axis().dataset.step);
  return nearest(wanted, [Math.round(wanted / step) * step, ...others]);
};

const aim = () => {
  const { mode, column, row, end } = grip;
  const last = Number(axis().dataset.rows);
  if (mode === "move") {
    const to = columnAt(grip.x);
    const free = slotsOf(to).map((slot) => span(slot).row);
    const top = snap(Math.max(0, Math.min(last - 1, rowAt(to, grip.y) - grip.grabbed)), [row, ...free]);
    return { column: to, row: top, end: top + end - row };
  }
  if (mode === "stretch") return { column, row, end: Math.max(row + 1, Math.min(last, snap(rowAt(column, grip.y), [end]))) };
  // Drawing goes over free time without a gap, from the place that was pressed to the one under the pointer.
  const slots = slotsOf(column).map((slot) => ({ slot, ...span(slot) }));
  const first = slots.findIndex(({ slot }) => slot === grip.cell);
  const down = rowAt(column, grip.y) >= row;
  let at = first;
  for (;;) {
    const next = slots[at + (down ? 1 : -1)];
    const touches = next && (down ? next.row === slots[at].end : next.end === slots[at].row);
    if (!touches || (down ? rowAt(column, grip.y) < next.row : rowAt(column, grip.y) >= slots[at].row)) break;
    at += down ? 1 : -1;
  }
  const [upper, lower] = down ? [slots[first], slots[at]] : [slots[at], slots[first]];
  return { column, row: upper.row, end: lower.end, slot: upper.slot };
};

// ── What is shown of it
const ghost = (column, row, end, time, words) => {
  const shape = document.createElement("div");
  shape.className = `cal-ghost r${row} s${Math.max(1, end - row)}`;
  shape.setAttribute("aria-hidden", "true");
  if (time) {
    const label = document.createElement("b");
    const whole = document.createElement("span");
    whole.textContent = time;
    label.append(whole, ...words.map((word) => ` · ${word}`));
    shape.append(label);
  }
  bodyOf(column).append(shape);
};

const clearGhosts = () => document.querySelectorAll(".cal-ghost").forEach((shape) => shape.remove());

const newTimes = () => {
  const { mode, to } = grip;
  if (mode === "draw") return { from: instant(to.row), until: instant(to.end) };
  const from = to.row === grip.row ? grip.from : instant(to.row);
  if (mode === "move") return { from, until: grip.until + from - grip.from };
  return { from, until: to.end === grip.end ? grip.until : instant(to.end) };
};

const show = () => {
  clearGhosts();
  const { mode, to, peers } = grip;
  const { from, until } = newTimes();
  const by = mode === "stretch" ? to.end - grip.end : to.row - grip.row;
  const moved = peers.filter((peer) => by && (mode === "move" || peer.isSame || peer.row >= grip.end));
  const said = [mode === "move" ? to.column.getAttribute("aria-label") : axis().dataset.length.replace("0", (until - from) / 60_000)];
  if (moved.some((peer) => !peer.isSame)) said.push(mode === "move" ? axis().dataset.visit : axis().dataset.rest);
  for (const peer of moved) ghost(peer.one.closest(".cal-col"), peer.isSame && mode === "stretch" ? peer.row : Math.max(0, peer.row + by), peer.end + by);
  ghost(to.column, to.row, to.end, `${clock(from)}–${clock(until)}`, said);
};

const follow = () => {
  const to = aim();
  const same = grip.shown && to.column === grip.to.column && to.row === grip.to.row && to.end === grip.to.end;
  grip.to = to;
  grip.shown = true;
  if (!same) show();
};

// ── Near the rim the grid scrolls along
const pull = (at, low, high) => (at < low + RIM ? Math.max(-1, (at - low - RIM) / RIM) : at > high - RIM ? Math.min(1, (at - high + RIM) / RIM) : 0) * 12;

const scrollAlong = () => {
  if (!grip?.lifted) return;
  const place = scroller();
  const box = place.getBoundingClientRect();
  const head = axis().previousElementSibling.offsetHeight;
  const top = pull(grip.y, box.top + head, box.bottom);
  const left = grip.mode === "move" ? pull(grip.x, box.left + axis().offsetWidth, box.right) : 0;
  if (top || left) {
    place.scrollBy({ top, left, behavior: "instant" });
    follow();
  }
  requestAnimationFrame(scrollAlong);
};

// ── Lifting, dropping, letting go
const lift = () => {
  grip.lifted = dragged = true;
  grip.cell.toggleAttribute("data-lifted", grip.mode !== "draw");
  document.documentElement.dataset.dragging = grip.mode;
  grip.cell.setPointerCapture(grip.pointer);
  follow();
  requestAnimationFrame(scrollAlong);
};

const letGo = () => {
  if (!grip) return;
  clearTimeout(grip.timer);
  clearGhosts();
  grip.cell.removeAttribute("data-lifted");
  delete document.documentElement.dataset.dragging;
  grip = null;
  if (missed && poller()) htmx.trigger(poller(), "look");
  missed = false;
};

// A key for each drop. randomUUID() is only there over HTTPS.
const newKey = () =>
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) => (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16));

const send = () => {
  const { mode, to, column, link } = grip;
  const { from, until } = newTimes();
  const values = {
    csrf_token: document.querySelector("[name=csrf_token]").value,
    idempotency_key: newKey(),
    version: grip.version,
    item_id: grip.item,
    starts_at: local(from - grip.after * 60_000),
  };
  const { who } = axis().dataset;
  if (to.column !== column) values[who] = new URL(to.column.querySelector(".cal-head__new").href).searchParams.get(who);
  if (mode === "stretch") values.minutes = (until - from) / 60_000;
  grip.lifted = false;
  grip.sent = true;
  delete document.documentElement.dataset.dragging;
  htmx.ajax("POST", `${link.pathname}/move`, { source: link, target: "#panel", swap: "innerHTML scroll:top", values });
};

const drop = () => {
  const { mode, to, row, end, column } = grip;
  const changed = to.column !== column || to.row !== row || to.end !== end;
  if (mode !== "draw" && changed) return send();
  const link = mode === "draw" && to.slot.querySelector("a");
  letGo();
  if (!link) return undefined;
  const url = new URL(link.href);
  if (changed) url.searchParams.set("minutes", ((to.end - to.row) * ROW) / 60_000);
  return open({ href: url.href }, link);
};

document.addEventListener("pointerdown", (event) => {
  dragged = false;
  if (grip || !event.isPrimary || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const cell = axis()?.dataset.who && event.target.closest(".cal-visit[data-drag], .cal-slot");
  if (!cell) return;
  grip = takeUp(cell, event);
  if (!isMouse(event)) grip.timer = setTimeout(lift, REST);
});

document.addEventListener("pointermove", (event) => {
  if (!grip) {
    // The edge that can be pulled shows itself under the pointer.
    const cell = event.target.closest?.(".cal-visit[data-drag]");
    if (cell) cell.toggleAttribute("data-edge", inEdge(cell, event));
    return;
  }
  if (event.pointerId !== grip.pointer || grip.sent) return;
  grip.x = event.clientX;
  grip.y = event.clientY;
  if (grip.lifted) return follow();
  if (Math.hypot(grip.x - grip.fromX, grip.y - grip.fromY) <= NEAR) return;
  if (isMouse(event)) lift();
  else letGo();
});

document.addEventListener("pointerup", (event) => {
  if (event.pointerId !== grip?.pointer || grip.sent) return;
  if (grip.lifted) drop();
  else letGo();
});

const abandon = () => {
  if (grip && !grip.sent) letGo();
};

document.addEventListener("pointercancel", abandon);
window.addEventListener("blur", abandon);
// Before all that Escape does elsewhere.
window.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape" || !grip?.lifted) return;
    event.preventDefault();
    event.stopPropagation();
    letGo();
  },
  true,
);

document.addEventListener(
  "click",
  (event) => {
    // One by keyboard has no count, and is never the end of a drag.
    if (dragged && event.detail) {
      event.preventDefault();
      event.stopPropagation();
    }
    dragged = false;
  },
  true,
);

// A lifted block, not the page, goes with the finger; and nothing of what a browser does with a link that is held.
document.addEventListener("touchmove", (event) => grip?.lifted && event.preventDefault(), { passive: false });
for (const own of ["contextmenu", "dragstart"]) {
  document.addEventListener(own, (event) => {
    if (grip && event.target.closest?.(".cal-grid")) event.preventDefault();
  });
}

// ── News waits until the hand is empty
const besideThePanel = ({ verb, elt, path }) => verb === "post" && !panel.contains(elt) && path.match(/^\/bookings\/(\d+)\//)?.[1];

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt !== poller() || !grip?.lifted) return;
  event.preventDefault();
  missed = true;
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig, xhr } = event.detail;
  if (target.id === "calendar" && grip?.lifted) {
    event.detail.shouldSwap = false;
    missed = true;
  }
  if (target.id === "main") abandon();
  // What was done beside the panel, by a drop or by an undo, does not open it; a refusal does, for its ways out.
  const visit = target === panel && besideThePanel(requestConfig);
  if (!visit) return;
  const shows = panel.querySelector(`#visit-${visit}`);
  if (xhr.status < 400 ? !shows : panel.querySelector("form#booking-form")) event.detail.swapOverride = "none";
  // Somebody is filling in a form there: it stays, and the reason is told beside it.
  if (xhr.status >= 400 && event.detail.swapOverride === "none") {
    const answer = new DOMParser().parseFromString(xhr.responseText, "text/html");
    const why = answer.querySelector("[role=alert] .alert__title") ?? answer.querySelector("h1, h2");
    showToast(why?.textContent ?? document.body.dataset.failed);
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  const { target, requestConfig } = event.detail;
  const visit = target === panel && besideThePanel(requestConfig);
  if (!visit || !panel.querySelector(`#visit-${visit}`) || new URLSearchParams(location.search).get("booking") === visit) return;
  history.pushState({ htmx: true }, "", addressOf({ href: `${location.origin}/bookings/${visit}` }));
  markOpen();
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { requestConfig, xhr } = event.detail;
  if (!grip?.sent) return;
  // The block is drawn in its new place by the poll that the answer asks for; until then its shape stands there.
  if (requestConfig.elt === grip.link) grip.done = xhr.status >= 200 && xhr.status < 300;
  if (requestConfig.elt === grip.link ? !grip.done : grip.done && requestConfig.elt === poller() && xhr.status) letGo();
});
