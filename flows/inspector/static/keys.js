// The keyboard, and selects that send their form. No text of a document is ever read as markup:
// the policy of the page forbids it, and nothing here makes elements from text.

const typing = (target) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName));

const dialog = document.getElementById("keys");
document.getElementById("show-keys")?.addEventListener("click", () => dialog.showModal());

for (const select of document.querySelectorAll("select.submits")) {
  select.form.querySelector("button")?.classList.add("unseen");
  select.addEventListener("change", () => select.form.requestSubmit());
}

// The filters are beside the list where there is room, and folded where there is none.
const filters = document.getElementById("filters");
if (filters) {
  const wide = window.matchMedia("(min-width: 56rem)");
  const fold = () => { filters.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
}

const go = (id) => {
  const link = document.getElementById(id);
  if (link instanceof HTMLAnchorElement) link.click();
  return Boolean(link);
};

const step = (by) => {
  const links = [...document.querySelectorAll("a.open")];
  if (!links.length) return go(by > 0 ? "after" : "before");
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
  if (next >= links.length) return go("page-after");
  if (next < 0) return go("page-before");
  links[next].focus();
  (links[next].closest("li, tr") ?? links[next]).scrollIntoView({ block: "nearest" });
  return true;
};

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => go("page-after") || go("after"),
  p: () => go("page-before") || go("before"),
  r: () => document.getElementById("reason")?.focus(),
  b: () => go("back"),
  "?": () => dialog.showModal(),
  "/": () => {
    const field = document.getElementById("q");
    if (field) { field.focus(); field.select(); } else { location.assign("/#q"); }
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
  if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
  if (typing(event.target)) return;
  const tab = document.querySelector(`.tabs a[data-key="${CSS.escape(event.key)}"]`);
  if (tab) { event.preventDefault(); tab.click(); return; }
  const label = document.querySelector(`button[data-label="${CSS.escape(event.key)}"]`);
  if (label) { event.preventDefault(); label.click(); return; }
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
if (location.hash === "#q") document.getElementById("q")?.focus();

document.getElementById("to-taken")?.addEventListener("click", () => {
  document.querySelector("pre mark.taken")?.scrollIntoView({ block: "center" });
});

// While the full-text index is being made, its progress is asked for.
const state = document.querySelector("#index-state b");
if (state) {
  const ask = async () => {
    const answer = await fetch("/state").then((r) => r.json()).catch(() => null);
    if (answer?.ready) { document.getElementById("index-state").remove(); return; }
    if (answer) state.textContent = `${Math.floor(100 * answer.share)} %`;
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}
