// Filter, sort and download of the tables; everything else works without a script.
const all = (query, root = document) => [...root.querySelectorAll(query)];
const filter = document.getElementById("filter");
const shown = document.getElementById("shown");

function matches(item, wanted) {
  const has = item.dataset;
  return (!wanted.paper || has.paper === wanted.paper)
    && (!wanted.dataset || has.dataset === wanted.dataset)
    && (!wanted.verdict || has.verdicts.split("|").includes(wanted.verdict))
    && has.method.toLowerCase().includes(wanted.method.toLowerCase().trim());
}

function apply() {
  const wanted = Object.fromEntries(new FormData(filter));
  const asked = Object.values(wanted).some((text) => text.trim());
  const squares = all(".square");
  for (const item of [...all("tr[data-method]"), ...squares]) item.hidden = !matches(item, wanted);
  for (const table of all("section.table")) table.hidden = asked && !all("tr[data-method]", table).some((row) => !row.hidden);
  shown.textContent = `${squares.filter((square) => !square.hidden).length} of ${squares.length} printed numbers`;
}

function sort(button) {
  const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  const value = (row) => row.querySelector(`[data-column="${head.dataset.column}"]`)?.dataset.value ?? "";
  const order = (a, b) => {
    if (!a || !b) return !a - !b;
    const difference = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return down ? -difference : difference;
  };
  all("[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))));
}

function save(button) {
  const rows = all("tr", button.closest("section").querySelector("table")).filter((row) => !row.hidden && row.dataset.method !== undefined);
  const heads = all("th[data-column]", button.closest("section")).map((head) => head.dataset.column);
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => heads.map((head) => quoted(row.querySelector(`[data-column="${head}"]`)?.dataset.value ?? "")));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[heads, ...lines].map((line) => line.join(",")).join("\n") + "\n"], { type: "text/csv" }));
  link.download = `${button.dataset.table}.rows.csv`;
  link.click();
}

filter.addEventListener("input", apply);
filter.addEventListener("reset", () => setTimeout(apply));
filter.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("click", ({ target }) => {
  if (target.matches("th button")) sort(target);
  if (target.matches("button.save")) save(target);
});
document.addEventListener("keydown", ({ key }) => {
  const open = document.querySelector(".panel:target, .panel:has(:target)");
  if (key === "Escape" && open) open.querySelector(".close").click();
});
for (const mark of all("svg [aria-label]")) { // what a screen reader hears is also seen on hovering
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = mark.getAttribute("aria-label");
  mark.prepend(title);
}
document.documentElement.classList.add("script");
apply();
