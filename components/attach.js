// Pictures for the next message: chosen, pasted or dropped. They go up like every upload; the app says what it made of them.
const MOST_BYTES = 20_000_000;
const box = () => element.querySelector("input[type=file]");
const say = (text) => { const said = element.querySelector(".pg-attach-said"); if (said) said.textContent = text; };
const kinds = /^image\/(png|jpeg|webp|gif|bmp)$/;
const send = async (files) => {
  const pictures = [...files].filter((file) => kinds.test(file.type));
  if (pictures.length < files.length) say("Only PNG, JPEG, WebP, GIF and BMP pictures can be attached.");
  const fitting = pictures.filter((file) => file.size <= MOST_BYTES);
  if (fitting.length < pictures.length) say("A picture has more than 20 MB. Save it smaller, then attach it.");
  if (!fitting.length) return;
  say(fitting.length === 1 ? "Attaching…" : `Attaching ${fitting.length} pictures…`);
  const paths = [];
  for (const file of fitting) {
    try { paths.push((await upload(file)).path); } catch { say("The upload was refused or got lost. Try again; there may be a limit on uploads."); }
  }
  if (paths.length) trigger("select", {act: "attach", paths});
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches("[data-attach]")) box()?.click();
  if (button.dataset.remove) trigger("select", {act: "remove", at: Number(button.dataset.remove)});
});
element.addEventListener("change", (event) => {
  if (!event.target.matches("input[type=file]") || !event.target.files.length) return;
  const files = [...event.target.files];
  event.target.value = "";
  send(files);
});
// The newest composer hears; an older one was taken off the page with a model that reads text alone.
window.provingAttach = {send, here: () => element.isConnected && Boolean(box())};
if (!window.provingAttachHeard) {
  window.provingAttachHeard = true;
  const composer = (event) => event.target.closest?.(".pg-composer") && window.provingAttach.here();
  const files = (transfer) => [...(transfer?.files || [])].filter((file) => file.type.startsWith("image/"));
  document.addEventListener("paste", (event) => {
    const found = composer(event) ? files(event.clipboardData) : [];
    if (!found.length) return;
    event.preventDefault();
    window.provingAttach.send(found);
  });
  // Where a picture can be let go of is seen while one is held over the page.
  const over = (on) => document.querySelector("#chat-attach")?.closest(".pg-composer")?.classList.toggle("pg-dropping", on);
  document.addEventListener("dragover", (event) => {
    const held = [...event.dataTransfer.items].some((item) => item.kind === "file");
    over(held && window.provingAttach.here());
    if (held && composer(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    over(false);
    if (!composer(event) || !event.dataTransfer.files.length) return;
    event.preventDefault();
    window.provingAttach.send([...event.dataTransfer.files]);
  });
}
