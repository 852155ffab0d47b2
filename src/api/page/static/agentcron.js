// What makes the pages live. Without this file everything can be read and done as well.
import { Idiomorph } from "./idiomorph.js";

const up = new URL(document.body.dataset.up || "./", location.href);
const at = (path) => new URL(path, up).href;
const main = () => document.getElementById("main");

// Only what the server has rendered becomes markup, and only here.
const policy = window.trustedTypes?.createPolicy("agentcron", { createHTML: (html) => html });
const parse = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");

const setCookie = (name, value, age = 365 * 86400) => {
  document.cookie = `${name}=${value}; Path=${up.pathname.replace(/\/$/, "")}; Max-Age=${age}; SameSite=Strict`;
};

// --- The zone and the theme ---

const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
const knowsZone = () => new RegExp(`(^|; )agentcron_mine=${mine.replace(/[+]/g, "\\+")}(;|$)`).test(document.cookie);

const chooseZone = (zone) => {
  setCookie("agentcron_zone", zone);
  for (const button of document.querySelectorAll(".choice button")) {
    button.setAttribute("aria-pressed", String(button.value === zone));
  }
  document.querySelector(".choice .of-link")?.remove();
  const there = new URL(location.href);
  if (there.searchParams.has("zone")) {
    there.searchParams.delete("zone");
    history.replaceState(null, "", there);
  }
  refresh(true);
};

const THEMES = { dark: ["●", "light"], light: ["○", "system"], system: ["◐", "dark"] };
const chooseTheme = (theme) => {
  setCookie("agentcron_theme", theme);
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = document.querySelector('.view button[name="theme"]');
  [button.textContent, button.value] = THEMES[theme];
};

document.querySelector(".view")?.addEventListener("submit", (event) => {
  const { name, value } = event.submitter ?? {};
  if (name !== "zone" && name !== "theme") return;
  event.preventDefault();
  (name === "zone" ? chooseZone : chooseTheme)(value);
});

// --- Time passes ---

// The clock of the daemon, whatever that of the browser says.
let ahead = Number(document.body.dataset.now || Date.now()) - Date.now();
const now = () => Date.now() + ahead;

// As `times::relative` of the daemon.
const relative = (instant) => {
  const away = instant - now();
  const seconds = Math.floor(Math.abs(away) / 1000);
  if (seconds === 0) return "now";
  const nearest = (unit) => Math.floor((seconds + unit / 2) / unit);
  const text = seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${nearest(60)} min`
    : seconds < 129600 ? `${nearest(3600)} h` : seconds < 63072000 ? `${nearest(86400)} d`
    : `${nearest(31536000)} years`;
  return away < 0 ? `${text} ago` : `in ${text}`;
};

const tick = () => {
  for (const element of document.querySelectorAll("[data-relative]")) {
    const text = relative(Number(element.dataset.relative));
    if (element.textContent !== text) element.textContent = text;
  }
};

// --- Live ---

const live = document.getElementById("live");
let feed = null, seen = null, isLost = false, isPaused = false, isGreeted = false, refreshing = null, again = null, waiting = null;

// In the zone of all other times of the page.
const zoneShown = () =>
  document.querySelector(".choice .of-link")?.textContent ??
  (document.querySelector('.choice [aria-pressed="true"]')?.value === "utc" ? "UTC" : mine);
const clockText = () => new Date(seen).toLocaleTimeString("en-GB", { timeZone: zoneShown() });
const tell = () => {
  if (!live) return;
  live.classList.toggle("bad", isLost);
  live.textContent = isPaused ? "‖ paused" : isLost ? `○ no answer; as of ${clockText()}` : `● live ${clockText()}`;
};

// Whether something under the hand of the reader must not move.
const isBusy = () =>
  document.querySelector("dialog[open]") !== null ||
  String(getSelection()).length > 0 ||
  document.querySelector("main input[type=checkbox]:checked") !== null ||
  document.querySelector("main tbody tr:hover, main .lines li:hover") !== null;

const rowsOf = (root) => [...root.querySelectorAll("[data-list] tbody tr[id], ul[data-list] > li[id]")].map((row) => row.id);

const show = (next) => {
  const page = main();
  document.title = next.dataset.title;
  const before = rowsOf(page), after = rowsOf(next), fresh = after.filter((id) => !before.includes(id));
  const moves = before.length > 0 && before.join() !== after.join();
  if (moves && isBusy()) {
    // What is there changes in its place; what is new waits until the reader wants it.
    for (const id of before.filter((id) => after.includes(id))) {
      Idiomorph.morph(page.querySelector(`#${CSS.escape(id)}`), next.querySelector(`#${CSS.escape(id)}`), KEEP);
    }
    announce(fresh.length);
    return;
  }
  document.querySelector(".news")?.remove();
  Idiomorph.morph(page, next, KEEP);
  select();
  if (before.length > 0) {
    for (const id of fresh) document.getElementById(id)?.classList.add("fresh");
  }
  tick();
};

// What somebody has opened, typed or ticked stays.
const KEEP = {
  ignoreActiveValue: true,
  callbacks: {
    beforeAttributeUpdated: (name, node) =>
      !(name === "open" && node.tagName === "DETAILS") && !(name === "value" && node === document.activeElement),
    // What an act came to is read by people, and the next change may come at once.
    beforeNodeMorphed: (old) => old.id !== "said" && !(old.tagName === "INPUT" && old.type === "checkbox" && old.checked),
  },
};

const announce = (count) => {
  let bar = document.querySelector(".news");
  if (!bar) {
    bar = document.createElement("button");
    bar.className = "news";
    bar.addEventListener("click", () => { bar.remove(); getSelection().removeAllRanges(); refresh(true); });
    main().prepend(bar);
  }
  bar.textContent = count > 0 ? `${count} new, show` : "The list has changed, show";
};

const load = async (isForced) => {
  const response = await fetch(location.href, { headers: { "x-agentcron-part": "main" }, redirect: "manual" });
  if (response.type === "opaqueredirect") { location.reload(); return; }
  // What the daemon cannot say now does not replace what it said before.
  if (response.status >= 500) throw new Error(`status ${response.status}`);
  const part = parse(await response.text()).getElementById("main");
  if (!part) return;
  // The login has ended or changed: the header says who somebody is.
  if (part.dataset.who !== undefined && part.dataset.who !== main().dataset.who) { location.reload(); return; }
  if (isForced) { document.title = part.dataset.title; Idiomorph.morph(main(), part, KEEP); select(); tick(); } else show(part);
  seen = Date.now();
  isLost = false;
  tell();
};

// One at a time, and at most one a second unless the reader asks.
const refresh = (isForced = false) => {
  clearTimeout(waiting);
  if (refreshing) { again = isForced || again === "forced" ? "forced" : "changed"; return refreshing; }
  refreshing = load(isForced).catch(() => { lose(); again ??= feed && "changed"; }).finally(() => {
    refreshing = null;
    if (again) { const wasForced = again === "forced"; again = null; waiting = setTimeout(() => refresh(wasForced), isLost ? 3000 : 750); }
  });
  return refreshing;
};

// What the daemon keeps for a moment for all pages may be older than the change that brought us here: it is read again when it cannot.
let later = [];
const SETTLED = [1100, 6000];
const refreshUntilSettled = () => {
  refresh();
  later.forEach(clearTimeout);
  later = SETTLED.map((after) => setTimeout(() => refresh(), after));
};

const lose = () => { isLost = true; tell(); };

const concerns = (changed) => {
  const { topics = "", cron } = main().dataset;
  if (topics === "") return false;
  return topics.split(" ").includes(changed.what) && (!cron || !changed.cron || changed.cron === cron);
};

const follow = () => {
  if (feed || isPaused || document.hidden || !main()?.dataset.topics) return;
  feed = new EventSource(at("events"));
  feed.addEventListener("open", () => { isGreeted = false; isLost = false; seen = Date.now(); tell(); });
  feed.addEventListener("changed", (event) => {
    seen = Date.now();
    tell();
    // The first event says that the feed has begun. What happened before that, since the page was made, it does not tell.
    if (!isGreeted) { isGreeted = true; refresh(); return; }
    if (concerns(JSON.parse(event.data))) refreshUntilSettled();
  });
  feed.addEventListener("lagged", () => { seen = Date.now(); refreshUntilSettled(); });
  feed.addEventListener("error", () => {
    lose();
    // A feed that was refused, and not cut, does not try again by itself.
    if (feed?.readyState === EventSource.CLOSED) { feed = null; setTimeout(follow, 3000); }
  });
};

const leave = () => { later.forEach(clearTimeout); feed?.close(); feed = null; };

// A hidden page holds no connection: browsers have six for one server.
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

// --- Acts: the question is asked where the reader is ---

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a.act");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const there = new URL(link.href);
  if (!there.searchParams.has("next")) there.searchParams.set("next", location.href.slice(up.href.length));
  await ask(there.href);
});

const ask = async (href) => {
  let part = null;
  try {
    part = parse(await (await fetch(href, { headers: { "x-agentcron-part": "main" } })).text()).querySelector(".ask");
  } catch { /* the page itself says what is wrong */ }
  if (!part) { location.href = href; return; }
  const dialog = document.querySelector("dialog") ?? document.body.appendChild(document.createElement("dialog"));
  dialog.replaceChildren(part);
  dialog.setAttribute("aria-label", part.querySelector("h1").textContent);
  for (const form of dialog.querySelectorAll("form")) form.action = at("act");
  dialog.querySelector("a.cancel")?.addEventListener("click", (event) => { event.preventDefault(); dialog.close(); });
  dialog.querySelector('button[formmethod="get"]')?.addEventListener("click", (event) => {
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(event.target.form));
    ask(`${at("act")}?${fields}`);
  });
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("label input, label textarea, button.main")?.focus();
};

// --- Copying ---

document.addEventListener("click", (event) => {
  const code = event.target.closest?.("[data-copy]");
  if (!code || String(getSelection()).length > 0) return;
  navigator.clipboard?.writeText(code.dataset.copy).then(() => say("copied"), () => {});
});

const say = (text) => { const said = document.getElementById("said"); if (said) said.textContent = text; };

// --- Selecting several ---

const select = () => {
  const boxes = [...document.querySelectorAll('main input[type="checkbox"][name="cron"]')];
  const bar = document.getElementById("selected");
  const count = boxes.filter((box) => box.checked).length;
  if (bar) { bar.hidden = count === 0; bar.querySelector("b").textContent = String(count); }
  const all = document.getElementById("select-all");
  if (all) { all.checked = count > 0 && count === boxes.length; all.indeterminate = count > 0 && count < boxes.length; }
};
// What is to be done to those selected is asked here as well.
document.addEventListener("submit", (event) => {
  const { submitter } = event;
  if (!event.target.matches("form.bulk") || submitter?.name !== "act") return;
  event.preventDefault();
  ask(`${at("act")}?${new URLSearchParams(new FormData(event.target, submitter))}`);
});

// A bar of a drawing leads to its run.
document.addEventListener("click", (event) => {
  const drawing = event.target.closest?.("svg.spark");
  if (!drawing || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const runs = drawing.dataset.runs.split(" "), box = drawing.getBoundingClientRect();
  const slot = Math.floor(((event.clientX - box.left) / box.width) * 30), run = runs[slot - 30 + runs.length];
  if (run) { event.preventDefault(); location.href = `${at("find")}?q=${run}`; }
});

document.addEventListener("change", (event) => {
  if (event.target.id === "select-all") {
    for (const box of document.querySelectorAll('main input[type="checkbox"][name="cron"]')) box.checked = event.target.checked;
  }
  select();
});

// --- Keys ---

const row = (step) => {
  const rows = [...document.querySelectorAll("main [data-list] tbody tr, main .needs li")];
  if (rows.length === 0) return;
  const place = rows.findIndex((found) => found.classList.contains("chosen"));
  const next = rows[Math.min(Math.max(place + step, 0), rows.length - 1)];
  rows.forEach((found) => found.classList.remove("chosen"));
  next.classList.add("chosen");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
};

const KEYS = "Keys: / find · g then o c r w y s: Overview, Crons, Runs, Webhooks, Try, Status · j k rows · x select · z zone · d dark or light · . pause";
let isGoing = false;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.matches?.("input, textarea, select")) { event.target.blur(); return; }
  if (event.target.matches?.("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog[open]")) return;
  if (isGoing) {
    isGoing = false;
    const link = document.querySelector(`header nav a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); location.href = link.href; }
    return;
  }
  const actions = {
    "/": () => document.getElementById("find")?.focus(),
    g: () => { isGoing = true; setTimeout(() => { isGoing = false; }, 1500); },
    j: () => row(1),
    k: () => row(-1),
    x: () => { const box = document.querySelector("tr.chosen input[type=checkbox]"); if (box) { box.checked = !box.checked; select(); } },
    z: () => {
      const buttons = [...document.querySelectorAll(".choice button")];
      const chosen = buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true");
      chooseZone(buttons[(chosen + 1) % buttons.length].value);
    },
    d: () => chooseTheme(document.querySelector('.view button[name="theme"]').value),
    ".": () => { isPaused = !isPaused; if (isPaused) leave(); else follow(); tell(); },
    "?": () => say(KEYS),
  };
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
});

// --- The beginning ---

const login = document.getElementById("login");
if (login && location.hash.length > 20) {
  // The code of `agentcron open`. After `#` it is in no log of any server, and it leaves the address at once.
  login.secret.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  login.requestSubmit();
}
setCookie("agentcron_said", "", 0);
if (document.querySelector("header") && !knowsZone() && mine) {
  setCookie("agentcron_mine", mine);
  if (document.body.dataset.zone === "mine" && document.body.dataset.mine !== mine) refresh(true);
}
const zoneButton = document.querySelector('.choice button[value="mine"]');
if (zoneButton && mine) zoneButton.textContent = mine;
seen = Date.now();
if (main()?.dataset.topics) tell();
setInterval(tick, 1000);
select();
// A lane or strip may be wider than its box: what is asked about, or now, is seen first.
const middle = document.querySelector(".lane .asked") ?? document.querySelector(".lane .now, .strip .now");
if (middle) {
  const box = middle.closest(".wide");
  box.scrollLeft += middle.getBoundingClientRect().left - box.getBoundingClientRect().left - box.clientWidth * 0.7;
}
follow();
