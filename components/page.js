// What the page does beyond Gradio: keep the address, follow back and forward, keyboard shortcuts.
(() => {
  const field = (id) => document.querySelector(`#${id} textarea, #${id} input`);

  let arrived = false;
  window.provingAddress = (query) => {
    const first = !arrived;
    arrived = true;
    if (!query || query === window.location.search.replace(/^\?/, "")) return query;
    // Gradio's own parameters (__theme, say) stay in the address.
    const kept = new URLSearchParams([...new URLSearchParams(window.location.search)].filter(([k]) => k.startsWith("__")));
    const rest = kept.toString();
    const next = query + (rest ? "&" + rest : "");
    // The first address of a visit replaces the one that was typed: back must leave the page, not stand still.
    if (first) window.history.replaceState({}, "", "?" + next);
    else if ("?" + next !== window.location.search) window.history.pushState({}, "", "?" + next);
    // On a Space the page stands in a frame: the outer address follows by message.
    if (window.parent !== window) window.parent.postMessage({ queryString: next }, "https://huggingface.co");
    return query;
  };

  const shown = (el) => el && el.offsetParent !== null && !el.disabled;
  const typing = (el) => el && !["radio", "checkbox"].includes(el.type)
    && (["INPUT", "TEXTAREA", "SELECT"].includes(el.tagName) || el.isContentEditable);
  let waitingForTab = false;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (waitingForTab) {
      waitingForTab = false;
      const name = { s: "Search", c: "Chat", k: "Card", i: "Images", f: "Feedback" }[event.key];
      const tab = [...document.querySelectorAll('#tabs button[role="tab"]')].find((b) => b.textContent.trim() === name);
      if (tab) { tab.click(); event.preventDefault(); }
      return;
    }
    if (event.key === "g") { waitingForTab = true; setTimeout(() => { waitingForTab = false; }, 1500); return; }
    if (event.key === "/") {
      const box = field("search-text");
      if (shown(box)) { box.focus(); event.preventDefault(); }
      return;
    }
    // A chat battle's ballot names its own keys; Enter goes on to the next prompt of a list once there is nothing to vote on.
    const open = [...document.querySelectorAll("[data-vote-key], [data-mark-key]")].filter(shown);
    const marked = open.find((b) => (b.dataset.voteKey || b.dataset.markKey) === event.key);
    if (marked) { marked.click(); event.preventDefault(); return; }
    if (event.key === "Enter" && !open.length && !event.target.closest("button, a, summary, label, input, [role=button]")) {
      const next = [...document.querySelectorAll("[data-next]")].find(shown);
      if (next && !shown(document.getElementById("battle-stop"))) { next.click(); event.preventDefault(); }
      return;
    }
    const vote = { 1: "vote-left", 2: "vote-right", 3: "vote-tie", 0: "vote-bad" }[event.key];
    const button = vote && document.getElementById("image-" + vote);
    if (shown(button)) { button.click(); event.preventDefault(); }
  });

  // From the search box the rows are one arrow away.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" || !event.target.closest("#search-text")) return;
    const row = document.querySelector("#results [data-open]");
    if (shown(row)) { row.focus(); event.preventDefault(); }
  });

  // After Enter in the battle's box, or in the box for the reason, the keys 1 2 3 0 are votes, not text.
  document.addEventListener("keyup", (event) => {
    if (event.key === "Enter" && !event.shiftKey && event.target.closest("#battle-text, #image-battle-prompt, #vote-why")) event.target.blur();
  });

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    navigator.clipboard?.writeText(copy.dataset.copy).then(() => {
      const before = copy.textContent;
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = before; }, 1200);
    });
  });
})();
