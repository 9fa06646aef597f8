// What every page does: relative times, copy buttons, dialogs, toasts, the theme, menus, chart readings.

const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];

// The same words as the server's (config/templatetags/ui.py).
export function ago(seconds) {
  const size = Math.abs(seconds);
  if (size < 2) return "now";
  const [unit, length] = units.find(([, seconds]) => size >= seconds);
  const count = Math.floor(size / length);
  const named = `${count} ${unit}${length >= 86400 && count > 1 ? "s" : ""}`;
  return seconds < 0 ? `in ${named}` : `${named} ago`;
}

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const text = ago((now - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const holder = button.closest(".copy");
  holder.dataset.copied = "";
  say("done", "Copied.");
  setTimeout(() => delete holder.dataset.copied, 1500);
}

function say(tone, text) {
  const toast = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  toast.dataset.tone = tone;
  toast.querySelector("use").setAttribute("href", toast.querySelector("use").getAttribute("href").replace(/#.*/, `#${tone}`));
  toast.querySelector("p").textContent = text;
  document.querySelector(".toasts").append(toast);
  setTimeout(() => toast.remove(), 4000);
}

function switchTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("tandem-theme", next);
}

const acts = {
  copy: (button) => copy(button),
  theme: switchTheme,
  open: (button) => {
    const dialog = document.getElementById(button.dataset.target);
    if (dialog) dialog.showModal();
    else location.reload(); // the page was made when this could not be done yet
  },
  close: (button) => button.closest("dialog").close(),
  dismiss: (button) => button.closest(".toast").remove(),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    acts[button.dataset.act](button);
  }
  if (event.target.matches("dialog")) event.target.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// A form sent twice by an impatient hand is sent once.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  if (event.target.method === "post") event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

document.addEventListener("mouseover", (event) => {
  const hit = event.target.closest?.(".hit");
  if (hit) hit.closest(".chart").querySelector(".reading").textContent = hit.querySelector("title").textContent;
});
document.addEventListener("mouseout", (event) => {
  const hit = event.target.closest?.(".hit");
  if (hit) {
    const reading = hit.closest(".chart").querySelector(".reading");
    reading.textContent = reading.dataset.rest;
  }
});

document.querySelector("dialog[data-reopen]")?.showModal();
setInterval(tick, 1000);
tick();
