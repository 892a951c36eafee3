// Tasks: those that come with the app, and a person's own, which stay in this browser. Texts are never read as HTML.
const OWN = "proving-tasks";
const given = JSON.parse(element.querySelector("[data-tasks]").dataset.tasks);
const pick = element.querySelector("select"), form = element.querySelector("form"), said = element.querySelector("[role=status]");
const own = () => { try { const kept = JSON.parse(localStorage.getItem(OWN)); return Array.isArray(kept) ? kept : []; } catch { return []; } };
const all = () => { const mine = own(); return [...given.filter((one) => !mine.some((other) => other.name === one.name)), ...mine]; };
const chosen = () => all().find((one) => one.name === pick.value) || given[0];
const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
const fill = (name) => {
  pick.replaceChildren(...all().map((one) => { const made = document.createElement("option"); made.value = made.textContent = one.name; return made; }));
  pick.value = all().some((one) => one.name === name) ? name : given[0].name;
};
const edit = (one) => {
  form.hidden = false;
  form.elements.name.value = one.name;
  form.elements.system.value = one.system || "";
  form.elements.fields.value = (one.fields || []).join("\n");
  form.elements.template.value = one.template || "";
  form.elements.rubric.value = (one.rubric || []).join("\n");
  form.elements.name.focus();
};
const use = (one) => trigger("select", {act: "task", preset: one});
pick.addEventListener("change", () => { form.hidden = true; use(chosen()); });
element.querySelector("[data-edit]").addEventListener("click", () => (form.hidden ? edit(chosen()) : (form.hidden = true)));
element.querySelector("[data-share]").addEventListener("click", () =>
  trigger("select", {act: "share", preset: chosen(), locked: element.querySelector("[name=locked]").checked}));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const values = form.elements;
  const one = {name: values.name.value.trim(), system: values.system.value, fields: lines(values.fields.value), template: values.template.value, rubric: lines(values.rubric.value)};
  const missing = one.fields.find((name) => !one.template.includes(`{${name}}`));
  if (!one.name) { said.textContent = "A task needs a name."; return; }
  if (missing) { said.textContent = `The message names every field in braces; {${missing}} is missing.`; return; }
  try { localStorage.setItem(OWN, JSON.stringify([...own().filter((other) => other.name !== one.name), one])); } catch { said.textContent = "This browser's storage is full. Delete a conversation first."; return; }
  said.textContent = "Kept in this browser.";
  form.hidden = true; fill(one.name); use(one);
});
element.querySelector("[data-drop]").addEventListener("click", () => {
  localStorage.setItem(OWN, JSON.stringify(own().filter((other) => other.name !== form.elements.name.value.trim())));
  form.hidden = true; fill(""); use(chosen());
});
fill("");
