// The page of a study: tabs, the choice of detectors, pictures that follow the theme and the choice, print, refreshing.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const panels = all(".panel");
const controls = one(".choose");
const choice = { text: "", off: new Set(), every: false, columns: false, legend: {} };

// --- pictures -------------------------------------------------------------------------------------------------------------
const BRIGHT = JSON.parse(one("#bright").textContent);
let printing = false;
const bright = () => dark() && !printing;
function figureOf(div) {
  let text = div.nextElementSibling.textContent;
  if (bright()) for (const [pale, colour] of Object.entries(BRIGHT)) text = text.replaceAll(pale, colour);
  const figure = JSON.parse(text), layout = figure.layout;
  const ink = bright() ? "#c6ccd2" : "#3c444c", line = bright() ? "#30363c" : "#e3e6ea", frame = bright() ? "#59626b" : "#aab1b8";
  layout.font = { ...layout.font, color: ink };
  for (const key of Object.keys(layout).filter(k => /^[xy]axis\d*$/.test(k))) {
    Object.assign(layout[key], { gridcolor: line, linecolor: frame, tickcolor: frame });
  }
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: bright() ? "#262b30" : "#ffffff", bordercolor: frame, font: { color: ink, size: 13 } };
  const width = div.clientWidth;
  if (width && width < 420) layout.height = Math.min(layout.height, innerWidth < 640 && layout.height < 300 ? 190 : 300);
  if (width && width < 420) layout.font.size = 12;
  return printing ? onPaper(div, figure) : figure;
}
// the paper's style sheet is not in force yet when a page is asked to get ready for print: widths are told, in pixels of A4
const PAPER = [[".near", 220, 200], [".scores", 160, 140], [".figures", 338, 250], [".side", 338, 300], ["body", 700, 320]];
function onPaper(div, figure) {
  const [place, width, height] = PAPER.find(([place]) => div.closest(place));
  Object.assign(figure.layout, { width, height: place === "body" ? Math.min(figure.layout.height, 2 * height) : height, autosize: false });
  const small = width < 300;
  figure.layout.font.size = small ? 7 : 9;
  if (figure.layout.legend) figure.layout.legend = { ...figure.layout.legend, font: { size: small ? 7 : 8 } };
  for (const note of figure.layout.annotations ?? []) note.font = { size: 9 };
  for (const [key, axis] of Object.entries(figure.layout)) if (/^[xy]axis\d*$/.test(key) && axis.title) axis.title.font = { size: small ? 7.5 : 9.5 };
  return figure;
}
function draw(div) {
  const figure = figureOf(div), small = div.closest(".scores");
  layoutFor(div, figure);
  Plotly.react(div, figure.data, figure.layout, {
    responsive: !printing, displaylogo: false, displayModeBar: small || printing ? false : "hover", toImageButtonOptions: { format: "svg" },
    modeBarButtonsToRemove: ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  });
  div.dataset.theme = bright() ? "dark" : "light";
}
// what is chosen decides which curves are visible before they are drawn
function layoutFor(div, figure) {
  const panel = div.closest(".panel"), role = div.dataset.role;
  if (role === "curves") {
    for (const trace of figure.data) if (trace.name) trace.visible = curveShown(panel, trace.name);
  } else if (role === "points") {
    for (const trace of figure.data) {
      if (!trace.customdata) continue;
      const kept = trace.customdata.map((name, i) => matches(name, trace.name) ? i : -1).filter(i => i >= 0);
      for (const key of ["x", "y", "text", "customdata"]) trace[key] = kept.map(i => trace[key][i]);
      if (trace.error_y) trace.error_y.array = kept.map(i => trace.error_y.array[i]);
    }
  }
}
const shown = div => div.offsetParent !== null && (!div.closest("details") || div.closest("details").open);
const drawShown = (within, again = false) => all(".plot", within).filter(shown).forEach(div => {
  if (again || !div.classList.contains("js-plotly-plot") || div.dataset.theme !== (bright() ? "dark" : "light")) draw(div);
});

// --- which detectors ------------------------------------------------------------------------------------------------------
const matches = (name, kind) => !choice.off.has(kind) && choice.text.split(/\s+/).every(word => name.toLowerCase().includes(word));
const curveShown = (panel, name) => {
  const chip = all(".legend .chip[data-name]", panel).find(c => c.dataset.name === name);
  return !chip || (!chip.hidden && chip.getAttribute("aria-pressed") === "true");
};
function apply(panel) {
  let there = 0, seen = 0;
  all("table.detectors", panel).forEach(table => {
    table.classList.toggle("all", choice.columns);
    there = seen = 0;
    for (const row of table.tBodies[0].rows) {
      const first = row.dataset.first !== undefined || choice.every || choice.text !== "";
      row.hidden = !(first && matches(row.dataset.name, row.dataset.kind));
      there += 1; seen += !row.hidden;
    }
  });
  all(".legend .chip[data-name]", panel).forEach(chip => { chip.hidden = !matches(chip.dataset.name, chip.dataset.kind); });
  one('[data-toggle="columns"]', controls).hidden = !one(".more", panel);
  one(".count", controls).textContent = there ? `${seen} of ${there} detectors` : "";
  controls.hidden = !there;
  drawShown(panel, true);
}
const active = () => one(".panel.active");
all("[data-toggle]", controls).forEach(button => button.addEventListener("click", () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  if (button.dataset.toggle === "kind") choice.off[on ? "delete" : "add"](button.value); else choice[button.dataset.toggle] = on;
  apply(active());
}));
one("input", controls).addEventListener("input", event => { choice.text = event.target.value.trim().toLowerCase(); apply(active()); });

// legend of the curves: a click shows or hides, a double click shows one alone, or all again
all(".legend").forEach(legend => {
  const chips = all(".chip[data-name]", legend), panel = legend.closest(".panel");
  const redraw = () => all('.plot[data-role="curves"]', panel).filter(shown).forEach(draw);
  chips.forEach(chip => {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
      redraw();
    });
    chip.addEventListener("dblclick", () => {
      const alone = chips.every(c => c === chip || c.getAttribute("aria-pressed") !== "true");
      chips.forEach(c => c.setAttribute("aria-pressed", alone ? !c.classList.contains("later") : c === chip));
      redraw();
    });
  });
  const more = one(".more-curves", legend);
  more?.addEventListener("click", () => { more.textContent = legend.classList.toggle("open") ? more.dataset.fewer : more.dataset.more; });
});

// --- tabs -----------------------------------------------------------------------------------------------------------------
const tabs = all(".tabs a");
function open(id) {
  const panel = panels.find(p => p.id === id) ?? panels[0];
  panels.forEach(p => p.classList.toggle("active", p === panel));
  tabs.forEach(t => {
    const mine = t.hash.slice(1) === panel.id;
    t.setAttribute("aria-selected", mine);
    if (mine) t.parentElement.scrollLeft = t.offsetLeft - 40;
  });
  apply(panel);
}
function wanted() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }  // a mistyped address is the first tab
}
tabs.forEach(t => t.addEventListener("click", event => {
  event.preventDefault();
  history.pushState(null, "", t.hash);
  open(wanted());
  const bar = one(".tabs");
  if (bar.getBoundingClientRect().top < 1) scrollTo(0, one(".tabs-place").offsetTop);
}));
addEventListener("popstate", () => open(wanted()));
document.addEventListener("themed", () => drawShown(document));
all("details").forEach(d => d.addEventListener("toggle", () => d.open && drawShown(d)));

// --- print: every tab, everything unfolded but raw records, in light colours, pictures at the width of the paper ----------------
let folded = [];
addEventListener("beforeprint", () => {
  printing = true;
  folded = all("details:not(.no-print):not([open])");
  folded.forEach(d => { d.open = true; });
  root.classList.add("printing");
  panels.forEach(panel => {
    all("table.detectors tbody tr", panel).forEach(row => { row.hidden = !((row.dataset.first !== undefined || choice.every || choice.text !== "") && matches(row.dataset.name, row.dataset.kind)); });
  });
  all(".plot").forEach(div => { if (div.classList.contains("js-plotly-plot")) Plotly.purge(div); draw(div); });
});
addEventListener("afterprint", () => {
  printing = false;
  root.classList.remove("printing");
  folded.forEach(d => { d.open = false; });
  all(".plot").forEach(div => Plotly.purge(div));
  apply(active());
});

// --- a page that is served while its study runs -----------------------------------------------------------------------------
const served = document.body.dataset.served, kept_as = `qad-page ${document.body.dataset.study}`;
// tables and folded parts are known by their tab and place in it, which stay while models come
const places = selector => panels.flatMap(panel => all(selector, panel).map((element, i) => [`${panel.id} ${i}`, element]));
const sortedBy = table => [...table.tHead.rows].at(-1).querySelector("th[aria-sort]");
function remember() {
  const { text, off, every, columns } = choice;
  const pressed = all(".legend").map(l => all(".chip[data-name]", l).map(c => [c.dataset.name, c.getAttribute("aria-pressed")]));
  const order = places("table.sortable").filter(([, table]) => sortedBy(table))
    .map(([place, table]) => [place, sortedBy(table).textContent, sortedBy(table).getAttribute("aria-sort")]);
  const folds = [...all("details").filter(d => !d.closest(".panel")).map((d, i) => [`top ${i}`, d]), ...places("details")]
    .map(([place, d]) => [place, d.open]);
  keep.set("sessionStorage", kept_as, JSON.stringify({ text, off: [...off], every, columns, pressed, order, folds, scroll: scrollY }));
}
function recall() {
  const kept = JSON.parse(keep.get("sessionStorage", kept_as) ?? "null");
  if (!kept) return;
  Object.assign(choice, { text: kept.text, off: new Set(kept.off), every: kept.every, columns: kept.columns });
  one("input", controls).value = kept.text;
  all("[data-toggle]", controls).forEach(b => b.setAttribute("aria-pressed",
    b.dataset.toggle === "kind" ? !choice.off.has(b.value) : choice[b.dataset.toggle]));
  const known = new Map(kept.pressed.flat());
  all(".legend .chip[data-name]").forEach(c => known.has(c.dataset.name) && c.setAttribute("aria-pressed", known.get(c.dataset.name)));
  const tables = new Map(places("table.sortable"));
  const sort = () => kept.order.forEach(([place, name, order]) => {
    const head = [...(tables.get(place)?.tHead.rows ?? [])].at(-1)?.cells;
    const column = [...(head ?? [])].find(h => h.textContent === name), button = column && one("button", column);
    for (let i = 0; button && i < 2 && column.getAttribute("aria-sort") !== order; i++) button.click();
  });
  const folds = new Map(kept.folds);
  all("details").filter(d => !d.closest(".panel")).forEach((d, i) => { d.open = folds.get(`top ${i}`) ?? d.open; });
  places("details").forEach(([place, d]) => { d.open = folds.get(place) ?? d.open; });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", sort); else sort();  // headings are buttons then
  setTimeout(() => scrollTo(0, kept.scroll));
}
if (location.hash && !served) addEventListener("load", () => setTimeout(() => scrollTo(0, 0)));  // the verdict first
if (served) {
  recall();
  const note = one(".live span");
  const ask = async () => {
    try {
      const state = await (await fetch("state")).json();
      if (state.version !== served) { remember(); location.reload(); return; }
      if (note) note.textContent = state.said;
    } catch { if (note) note.textContent = "the server has ended; this page stays as it is"; }
    setTimeout(ask, 1500);
  };
  setTimeout(ask, 1500);
}
open(wanted());
