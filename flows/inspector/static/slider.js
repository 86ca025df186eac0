// A bound that is moved: the numbers are counted by the server over all documents. Texts of the
// web are put in as text only.

const form = document.getElementById("slider");
const range = document.getElementById("range");
const field = document.getElementById("at");
const low = Number(form.dataset.low);
const high = Number(form.dataset.high);
const logarithmic = form.dataset.logarithmic === "1";
const steps = Number(range.max);

const valueAt = (place) => {
  const [a, b] = logarithmic ? [Math.log1p(low), Math.log1p(high)] : [low, high];
  const at = a + (b - a) * place;
  return logarithmic ? Math.expm1(at) : at;
};
const placeOf = (value) => {
  const within = Math.min(Math.max(value, low), high);
  const [a, b, v] = logarithmic
    ? [low, high, within].map(Math.log1p) : [low, high, within];
  return b > a ? (v - a) / (b - a) : 0.5;
};
const figure = (number) => {
  if (number === null) return "–";
  if (Number.isInteger(number)) return number.toLocaleString("en");
  return Number(number.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
};

const draw = (value) => {
  const place = 100 * placeOf(value);
  const line = document.getElementById("now");
  line.setAttribute("x1", place);
  line.setAttribute("x2", place);
  const shade = document.getElementById("out");
  if (form.dataset.side === "low") {
    shade.setAttribute("width", place);
  } else {
    shade.setAttribute("x", place);
    shade.setAttribute("width", 100 - place);
  }
};

const example = (row) => {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `/document/${encodeURIComponent(row.id)}`;
  link.textContent = row.title || row.url;
  const measure = document.createElement("span");
  measure.className = "measure";
  measure.textContent = figure(row.measure);
  const where = document.createElement("span");
  where.className = "where";
  where.textContent = row.url;
  item.append(link, " ", measure, where);
  return item;
};

const show = (answer) => {
  for (const name of ["comes", "goes", "kept_then", "kept", "objects", "words_come", "words_go"]) {
    document.getElementById(name).textContent = figure(answer[name]);
  }
  document.getElementById("line").textContent = answer.line;
  for (const name of ["coming", "going"]) {
    const items = answer[name].map(example);
    if (!items.length) {
      const none = document.createElement("li");
      none.className = "soft";
      none.textContent = "none";
      items.push(none);
    }
    document.getElementById(name).replaceChildren(...items);
  }
};

let asked = 0;
let waiting = null;
const ask = async (value) => {
  const mine = ++asked;
  const about = new URLSearchParams(new FormData(form));
  about.set("at", value);
  const answer = await fetch(`/moved?${about}`).then((r) => (r.ok ? r.json() : null), () => null);
  if (answer && mine === asked) {
    show(answer);
    history.replaceState(null, "", `/bound?${about}`);
  }
};
const move = (value) => {
  draw(value);
  clearTimeout(waiting);
  waiting = setTimeout(() => ask(value), 40);
};

range.hidden = false;
range.addEventListener("input", () => {
  const value = Number(valueAt(Number(range.value) / steps).toPrecision(4));
  field.value = String(value);
  move(value);
});
const typed = () => {
  const value = Number(field.value);
  if (field.value.trim() === "" || !Number.isFinite(value)) return;
  range.value = String(Math.round(steps * placeOf(value)));
  move(value);
};
field.addEventListener("input", typed);
// Typed before this script was there, or filled in again by a browser that went back.
if (field.value !== field.defaultValue) typed();

const copy = document.getElementById("copy");
copy.hidden = false;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(document.getElementById("line").textContent);
  copy.textContent = "Copied";
  setTimeout(() => { copy.textContent = "Copy as recipe line"; }, 1500);
});
