// The buttons between the messages and those of the panels under them. One listener, however often the messages change.
const asks = new Set(["continue", "prefill", "reword", "task"]);
const judges = new Set(["save_preference", "withdraw_preference", "save_reasons"]);
const fields = (form) => {
  const found = {};
  for (const field of form ? form.elements : []) {
    // The rubric's scales go as a list.
    if (!field.name || field.type === "radio") continue;
    if (field.type !== "checkbox") found[field.name] = field.value;
    else if (field.checked) found[field.name] = [...(found[field.name] || []), field.value];
  }
  const scales = form ? [...form.querySelectorAll("[data-question] input:checked")] : [];
  if (scales.length) found.scores = scales.map((box) => {
    const at = box.closest("[data-question]").dataset;
    return {question: at.question, side: Number(at.side), value: box.value};
  });
  return found;
};
let spot = null, until = 0, below = null;
const log = () => document.querySelector("#chatbot [role=log]");
const press = (button) => {
  const values = {...fields(button.closest("form")), ...JSON.parse(button.dataset.chat)};
  spot = button.dataset.spot || null;
  until = Date.now() + 10000;
  // Earlier messages come above what is being read, which stays where it is: so far from the end.
  below = values.act === "earlier" && log() ? log().scrollHeight - log().scrollTop : null;
  trigger(asks.has(values.act) ? "submit" : judges.has(values.act) || values.prefer ? "like" : "select", values);
};
window.provingChat = (event) => {
  const button = event.target.closest("[data-chat]");
  if (!button || button.disabled || !(button.closest("#chatbot, #chat-earlier") || element.contains(button))) return;
  event.preventDefault();
  press(button);
};
if (!window.provingChatHeard) {
  window.provingChatHeard = true;
  document.addEventListener("click", (event) => window.provingChat(event));
  // Enter in a field of a panel is its first button; in a text it is a line.
  document.addEventListener("submit", (event) => { if (event.target.matches(".pg-panel")) event.preventDefault(); });
  document.addEventListener("keydown", (event) => {
    const panel = event.target.closest?.(".pg-panel");
    if (!panel) return;
    const go = panel.querySelector(".pg-go");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && go) { event.preventDefault(); go.click(); }
    if (event.key === "Escape") { event.preventDefault(); panel.querySelector('[data-chat*="close"]')?.click(); }
  });
  // The keyboard stays where it was: messages are made anew with every change, and a button that is switched off lets go
  // of it a moment after the change.
  const back = () => {
    if (below !== null && Date.now() < until && log()) log().scrollTop = log().scrollHeight - below;
    const at = document.activeElement;
    const free = !at || at === document.body || at.disabled;
    if (!spot || !free || Date.now() > until) return;
    const next = [...document.querySelectorAll("#chatbot [data-spot], #chat-earlier [data-spot], #chat-desk [data-spot]")];
    const same = next.find((button) => button.dataset.spot === spot && !button.disabled)
      || next.find((button) => button.dataset.spot.split(":").slice(0, 2).join(":") === spot.split(":").slice(0, 2).join(":") && !button.disabled);
    if (same) same.focus({preventScroll: true});
  };
  new MutationObserver(back).observe(document.body, {childList: true, subtree: true});
  document.addEventListener("focusout", () => setTimeout(back, 0));
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("[data-chat]")) spot = null; });
  for (const moves of ["wheel", "pointerdown", "keydown"]) document.addEventListener(moves, () => { below = null; }, {capture: true, passive: true});
}
const opened = () => {
  for (const area of element.querySelectorAll("textarea[data-text]")) {
    area.value = area.dataset.text;
    area.removeAttribute("data-text");
  }
  const panel = element.querySelector(".pg-panel");
  if (!panel) return;
  (panel.querySelector("[data-focus]") || panel.querySelector(".pg-go, button"))?.focus({preventScroll: true});
  // All of it, down to its buttons: what opens under a long conversation is below the edge of the window.
  panel.scrollIntoView({block: "nearest"});
};
watch("value", () => setTimeout(opened, 0));
