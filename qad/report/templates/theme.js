// Light or dark: the system's choice until the reader makes one. Runs before anything is drawn.
const root = document.documentElement;
root.classList.add("js");
const keep = {  // what a browser forbids to keep is not kept
  get(store, key) { try { return window[store].getItem(key); } catch { return null; } },
  set(store, key, value) { try { window[store].setItem(key, value); } catch { /* nothing to do */ } },
};
const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => root.dataset.theme ?? "auto";
const dark = () => chosen() === "dark" || (chosen() === "auto" && system.matches);
function choose(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme; else delete root.dataset.theme;
  document.querySelectorAll(".theme button").forEach(b => b.setAttribute("aria-pressed", b.value === chosen()));
  document.dispatchEvent(new Event("themed"));
}
choose(keep.get("localStorage", "qad-theme"));
system.addEventListener("change", () => choose(chosen()));
document.addEventListener("DOMContentLoaded", () => {
  choose(chosen());
  document.querySelectorAll(".theme button").forEach(b => b.addEventListener("click", () => {
    choose(b.value);
    keep.set("localStorage", "qad-theme", b.value);
  }));
  document.querySelectorAll("table.sortable").forEach(sortable);
});

// Tables: numbers as numbers, largest first; words by alphabet; what has no value comes last either way.
function sortable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows].at(-1).cells;
  const value = cell => {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    if (cell.dataset.text !== undefined) return cell.textContent.trim();
    const number = parseFloat(cell.textContent.trim().replace(/[,[<>]/g, "").replace("−", "-"));
    return Number.isNaN(number) ? null : number;
  };
  [...heads].forEach((head, column) => {
    if (head.dataset.fixed !== undefined) return;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const words = head.dataset.words !== undefined;
      const first = words ? "ascending" : "descending", second = words ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      [...heads].forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = [...body.rows].map(row => [words ? row.cells[column].textContent.trim() : value(row.cells[column]), row]);
      keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null)
        : sign * (words ? a.localeCompare(b) : a - b));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}
