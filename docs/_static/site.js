// Heads of study tables sort; figures are drawn in the colours of the page. Nothing is fetched but the script beside this one.
(() => {
  const base = new URL(".", document.currentScript.src);

  function sort(head) {
    const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : +cell.dataset.v; };
    const order = (a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); };
    body.append(...[...body.rows].sort(order));
  }

  function colours() {
    const style = getComputedStyle(document.body), ink = style.getPropertyValue("--color-foreground-primary").trim();
    const line = style.getPropertyValue("--color-background-border").trim();
    const axis = name => ({ [`${name}.gridcolor`]: line, [`${name}.linecolor`]: ink, [`${name}.tickcolor`]: ink });
    return { "font.color": ink, ...axis("xaxis"), ...axis("yaxis") };
  }

  function draw(box) {
    if (box.dataset.drawn || !box.offsetWidth) return;
    box.dataset.drawn = "1";
    const figure = JSON.parse(box.querySelector("script").textContent);
    if (box.offsetWidth < 500) Object.assign(figure.layout, { legend: { ...figure.layout.legend, font: { size: 10 } } });
    Plotly.newPlot(box, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false })
      .then(() => Plotly.relayout(box, colours()));
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll(".study-table th button"))
      button.addEventListener("click", () => sort(button.closest("th")));
    const boxes = [...document.querySelectorAll(".plot")];
    if (!boxes.length) return;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", base);
    script.onload = () => {
      const all = () => boxes.forEach(draw);
      all();
      for (const tab of document.querySelectorAll(".sd-tab-set input")) tab.addEventListener("change", () => setTimeout(all));
      const recolour = () => boxes.filter(b => b.dataset.drawn).forEach(b => Plotly.relayout(b, colours()));
      new MutationObserver(recolour).observe(document.body, { attributeFilter: ["data-theme"] });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    };
    document.head.append(script);
  });
})();
