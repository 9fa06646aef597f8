// Keeps a region fresh without moving it. The region polls through htmx and is merged, not replaced: unchanged
// nodes stay, so focus, hover, open details and selections survive. It pauses while hidden, while someone types
// or has a dialog open; rows are not added or reordered under the pointer.

const region = document.querySelector("[data-live]");
const note = document.querySelector("[data-updated]");
let updated = Date.now();
let lastKey = 0;
let failing = false;
let pending = false;

const keyOf = (node) => node.dataset?.key ?? node.id ?? "";
const mark = (node) => {
  const holder = node.closest?.("[data-mark]");
  if (!holder) return;
  delete holder.dataset.changed;
  requestAnimationFrame(() => (holder.dataset.changed = ""));
};

function syncAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !["open", "data-changed"].includes(name)) old.removeAttribute(name);
  }
}

function merge(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) {
      old.data = fresh.data;
      mark(old.parentElement);
    }
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE || old.matches("dialog, input, textarea")) return;
  syncAttributes(old, fresh);
  if (!old.matches("time[data-relative]")) mergeChildren(old, fresh);
}

const sameKind = (a, b) => a && b && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function mergeChildren(old, fresh) {
  const keyed = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const key = keyOf(next);
    const twin = key && keyed.get(key)?.nodeName === next.nodeName ? keyed.get(key) : null;
    const match = twin ?? (sameKind(at, next) ? at : null);
    if (!match) {
      old.insertBefore(next, at);
      if (key && next.dataset && "mark" in next.dataset) mark(next);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    merge(match, next);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const order = (root) => [...root.querySelectorAll("[data-row]")].map((row) => row.dataset.key).join();

function hoveredRow() {
  return region.querySelector("[data-row]:hover");
}

function swap(target, fragment) {
  const fresh = document.createElement("div");
  fresh.append(...fragment.childNodes);
  if (hoveredRow() && order(region) !== order(fresh)) {
    for (const row of fresh.querySelectorAll("[data-row]")) {
      const twin = region.querySelector(`[data-row][data-key="${CSS.escape(row.dataset.key)}"]`);
      if (twin) merge(twin, row);
    }
    pending = true;
  } else {
    mergeChildren(target, fresh);
    pending = false;
  }
}

htmx.defineExtension("merge", {
  isInlineSwap: (style) => style === "merge",
  handleSwap: (style, target, fragment) => {
    if (style !== "merge") return false;
    swap(target, fragment);
    return [target];
  },
});

const busy = () =>
  document.hidden || document.querySelector("dialog[open], details.menu[open]") || Date.now() - lastKey < 2500 ||
  !getSelection().isCollapsed;

function tell() {
  if (!note) return;
  const seconds = Math.round((Date.now() - updated) / 1000);
  const age = seconds < 2 ? "just now" : seconds < 90 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
  note.toggleAttribute("data-stale", failing);
  note.toggleAttribute("data-paused", Boolean(busy()) && !failing);
  note.textContent = failing ? `No answer; last updated ${age}, trying again` : pending ? `Updated ${age}, more waiting` : `Updated ${age}`;
}

function refresh() {
  if (!busy()) htmx.trigger(region, "refresh");
}

if (region) {
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select")) lastKey = Date.now();
  });
  region.addEventListener("htmx:beforeSwap", (event) => {
    // A session that ended answers with the sign-in page: go there instead of showing it inside this one.
    if (new URL(event.detail.xhr.responseURL || location.href).pathname.endsWith("/sign-in/")) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });
  region.addEventListener("htmx:afterRequest", (event) => {
    failing = !event.detail.successful;
    if (event.detail.successful) updated = Date.now();
    tell();
  });
  region.addEventListener("mouseleave", () => pending && refresh());
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  setInterval(refresh, Number(region.dataset.live));
  setInterval(tell, 1000);
  tell();
}
