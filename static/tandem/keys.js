// The keyboard: / search, j k rows, Enter open, g p, g o and g r places, t theme, ? help, Esc leaves a field.

const typing = (element) => element.matches("input, textarea, select, [contenteditable]");
let prefix = "";

function rows() {
  return [...document.querySelectorAll("table.rows tbody tr")].filter((row) => row.querySelector(".open"));
}

function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
  const link = all[next].querySelector(".open");
  link.focus({ focusVisible: true });
  link.scrollIntoView({ block: "nearest" });
}

function search() {
  const field = document.querySelector("input[type=search]");
  if (field) {
    field.focus();
    field.select();
  } else {
    location.assign(document.querySelector(".nav [data-key=o]").href + "#search");
  }
}

const keys = {
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  t: () => document.querySelector("[data-act=theme]")?.click(),
  "?": () => document.getElementById("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(document.activeElement)) return document.activeElement.blur();
  if (typing(document.activeElement) || document.querySelector("dialog[open]")) return;
  if (prefix === "g") {
    prefix = "";
    const place = document.querySelector(`.nav [data-key="${CSS.escape(event.key)}"]`);
    if (place) return location.assign(place.href);
  }
  if (event.key === "g") {
    prefix = "g";
    setTimeout(() => (prefix = ""), 1200);
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

if (location.hash === "#search") search();
