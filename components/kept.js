// The list of conversations: in this browser, or with the app for whoever is signed in. Texts are never read as HTML.
const BEGINS = "proving-chat:", NOW = "proving-chat", MOST_FILE = 10_000_000;
const list = element.querySelector(".pg-kept-list"), search = element.querySelector("input[type=search]");
const said = element.querySelector(".pg-kept-said"), file = element.querySelector("input[type=file]");
let mine = true, entries = [];

const read = (id) => { try { return JSON.parse(localStorage.getItem(BEGINS + id)); } catch { return null; } };
const ids = () => Object.keys(localStorage).filter((key) => key.startsWith(BEGINS)).map((key) => key.slice(BEGINS.length));
const all = () => ids().map(read).filter((one) => one?.head).sort((a, b) => b.head.updated.localeCompare(a.head.updated));
const write = (id, kept) => {
  const text = JSON.stringify(kept);
  // A browser keeps about five million characters; the oldest conversations make room.
  for (;;) {
    try { localStorage.setItem(BEGINS + id, text); return true; } catch {
      const oldest = all().filter((one) => one.head.id !== id).pop();
      if (!oldest) { warn("This conversation is too large for this browser's storage. Export it to keep it."); return false; }
      localStorage.removeItem(BEGINS + oldest.head.id);
      warn("This browser's storage was full: the oldest conversation made room.");
    }
  }
};
const say = (text) => { said.textContent = text; };
// What nobody asked for is said where it is seen, and not in a folded list.
const warn = (text) => { element.querySelector(".pg-kept").open = true; say(text); };
const current = (id) => { if (id) sessionStorage.setItem(NOW, id); else sessionStorage.removeItem(NOW); };
const whole = (kept) => JSON.stringify({format: "proving-ground/conversation", version: 1, ...kept.head, turns: kept.turns});

const button = (label, title, act) => {
  const made = document.createElement("button");
  made.type = "button"; made.className = "pg-copy"; made.textContent = label;
  made.title = title; made.setAttribute("aria-label", title);
  made.addEventListener("click", act);
  return made;
};
const open = (entry) => trigger("submit", mine ? {act: "open", record: whole(read(entry.id) || {})} : {act: "open", id: entry.id});
const rename = (entry, row) => {
  const box = document.createElement("input");
  box.value = entry.title; box.maxLength = 120; box.setAttribute("aria-label", "New title");
  row.replaceChildren(box); box.focus(); box.select();
  let done = false;
  const end = (save) => {
    if (done) return;
    done = true;
    const title = box.value.trim().replace(/\s+/g, " ");
    if (save && title && title !== entry.title) {
      if (mine) { const kept = read(entry.id); kept.head.title = title; kept.head.named = true; write(entry.id, kept); }
      trigger("select", {act: "rename", id: entry.id, title, words: search.value});
    }
    render();
  };
  box.addEventListener("keydown", (event) => { if (event.key === "Enter") end(true); if (event.key === "Escape") end(false); });
  box.addEventListener("blur", () => end(true));
};
const remove = (entry, asked) => {
  if (asked.textContent === "Delete") { asked.textContent = "Really?"; setTimeout(() => { asked.textContent = "Delete"; }, 4000); return; }
  const turns = mine ? (read(entry.id)?.turns || []).filter((turn) => turn.images) : [];
  if (mine) localStorage.removeItem(BEGINS + entry.id);
  // Pictures go with the last conversation that has them.
  const left = new Set(turns.length ? all().flatMap((one) => one.turns.flatMap((turn) => (turn.images || []).map((image) => image.sha256))) : []);
  const gone = turns.map(({images}) => ({images: images.filter((image) => !left.has(image.sha256))}));
  if (sessionStorage.getItem(NOW) === entry.id) current(null);
  trigger("select", {act: "delete", id: entry.id, words: search.value, turns: gone});
  render();
};
const render = () => {
  const kept = mine ? all() : [];
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = mine
    ? kept.filter((one) => { const text = (one.head.title + JSON.stringify(one.turns)).toLowerCase(); return words.every((word) => text.includes(word)); })
        .map((one) => ({id: one.head.id, title: one.head.title, turns: one.turns.length, updated: one.head.updated}))
    : entries;
  list.replaceChildren(...shown.slice(0, 200).map((entry) => {
    const row = document.createElement("li"), name = document.createElement("span");
    row.dataset.id = entry.id;
    if (sessionStorage.getItem(NOW) === entry.id) row.setAttribute("aria-current", "true");
    const title = button(entry.title, `Open: ${entry.title}`, () => open(entry));
    title.className = "pg-kept-open";
    name.className = "pg-meta"; name.textContent = `${entry.turns} ${entry.turns === 1 ? "message" : "messages"} · ${new Date(entry.updated).toLocaleString()}`;
    const gone = button("Delete", `Delete: ${entry.title}`, (event) => remove(entry, event.currentTarget));
    row.append(title, name, button("Rename", `Rename: ${entry.title}`, () => rename(entry, row)), gone);
    return row;
  }));
  element.querySelector(".pg-kept-none").hidden = shown.length > 0;
  element.querySelector(".pg-kept-none").textContent = words.length ? "Nothing kept has these words." : "Nothing is kept yet.";
  element.querySelector(".pg-kept-where").textContent = mine ? `Kept in this browser${kept.some((one) => one.turns.some((turn) => turn.images)) ? ", pictures with the app" : ""}.` : "Kept with your account.";
};

const heard = {
  keep: ({id, head, turns, count}) => {
    mine = true;
    const kept = read(id) || {head, turns: []};
    if (kept.head.named && !head.named) { head.title = kept.head.title; head.named = true; }
    const places = new Map(kept.turns.map((turn, at) => [turn.id, at]));
    for (const turn of turns) if (places.has(turn.id)) kept.turns[places.get(turn.id)] = turn; else kept.turns.push(turn);
    // Whoever cleared this browser's storage meanwhile, or was not told because another tab was, is told everything again.
    // Until then a reload has to find the answer where it was written: its run stays on record.
    const lacks = kept.turns.length < count;
    if (lacks && !head.running) head.running = kept.head.running;
    if (write(id, {head, turns: kept.turns}) && lacks) trigger("select", {act: "retell"});
    current(id); render();
  },
  list: (told) => { mine = false; entries = told.entries; if (told.current) current(told.current); render(); },
  mine: (told) => { mine = true; if (told.current) current(told.current); render(); },
  current: ({id}) => { current(id); render(); },
  save: ({name, type, text, note}) => {
    if (note) say(note);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type}));
    link.download = name; link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  },
  link: ({query}) => {
    const url = `${location.origin}${location.pathname}?${query}`;
    // Beside the button that asked for it: the list is folded as a rule.
    const place = document.querySelector("#chat-tasks [role=status]") || said;
    const copied = navigator.clipboard ? navigator.clipboard.writeText(url) : Promise.reject();
    copied.then(() => { place.textContent = "The link is in the clipboard."; }, () => { place.textContent = url; });
  },
};
let answered = false;
window.provingKept = (message) => {
  if (message) { answered = true; const told = JSON.parse(message); heard[told.op]?.(told); }
  return message;
};

let typing;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => (mine ? render() : trigger("select", {act: "search", words: search.value})), 200);
});
element.querySelectorAll("[data-export]").forEach((one) =>
  one.addEventListener("click", () => trigger("select", {act: "export", kind: one.dataset.export})));
element.querySelector("[data-import]").addEventListener("click", () => file.click());
file.addEventListener("change", async () => {
  const chosen = file.files[0];
  file.value = "";
  if (!chosen) return;
  if (chosen.size > MOST_FILE) { say(`The file has ${Math.round(chosen.size / 1e6)} MB; a conversation has at most 10. Take a part of it.`); return; }
  say("");
  trigger("submit", {act: "import", text: await chosen.text()});
});

// A reload goes on with what was open; a second tab with what is being written.
render();
const open_now = sessionStorage.getItem(NOW);
const here = open_now ? read(open_now) : all().find((one) => one.head.running && Date.now() - Date.parse(one.head.updated) < 3_600_000);
const resume = (left) => {
  if (answered) return;
  trigger("submit", {act: "resume", id: open_now, record: here ? whole(here) : null, reloaded: Boolean(open_now)});
  // While the page is being put together, or a stream of the page before it is being closed, an event can get lost.
  // Asked twice, the app answers the second time with the list alone.
  if (left) setTimeout(resume, 5000, left - 1);
};
setTimeout(resume, 0, 12);
