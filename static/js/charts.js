/*
 * Draws charts over what the server drew: components/chart.html with uPlot, components/treemap.html with the arithmetic
 * of d3-hierarchy. Numbers and names are read from the table that stands below each drawing.
 */
(() => {
  "use strict";

  const DASHES = [[], [8, 3], [2, 3], [10, 3, 2, 3], [5, 5], [1, 5]];
  const language = document.documentElement.lang || "en";
  const SVG = "http://www.w3.org/2000/svg";
  const count = new Intl.NumberFormat(language);
  const short = new Intl.NumberFormat(language, { notation: "compact" });

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    if (parent) parent.append(made);
    return made;
  }

  function onTheme(act) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act);
    new MutationObserver(act).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  function chart(figure) {
    const box = figure.querySelector(".chart-drawing");
    const drawn = box.querySelector("svg");
    const legend = Array.from(figure.querySelectorAll(".legend > [class^='series-']"));
    const when = figure.querySelector("[data-when]");
    const before = [when.textContent, ...legend.map((one) => one.querySelector("[data-now]").textContent)];
    const rows = Array.from(figure.querySelectorAll("tbody > tr"));
    const times = rows.map((row) => Number(row.cells[0].dataset.at));
    const numbers = legend.map((_, at) => rows.map((row) => Number(row.cells[at + 1].dataset.number)));
    const edges = [];
    numbers.forEach((one, at) => edges.push(one.map((number, i) => number + (at ? edges[at - 1][i] : 0))));
    const bars = figure.dataset.chart === "bars";
    const days = times.length < 2 || times[1] - times[0] >= 86400;
    const step = times.length < 2 ? 1 : times[1] - times[0];
    const axisDate = new Intl.DateTimeFormat(language, days
      ? { day: "numeric", month: "short", timeZone: "UTC" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" });
    let plot = null;

    // What is said of one day is never wider than what is said of all: nothing moves.
    for (const one of legend) {
      const said = one.querySelector("[data-now]");
      said.style.minWidth = `${Math.ceil(said.getBoundingClientRect().width)}px`;
    }

    function say(at) {
      when.textContent = at === null ? before[0] : rows[at].cells[0].textContent;
      legend.forEach((one, i) => {
        one.querySelector("[data-now]").textContent = at === null ? before[i + 1] : count.format(numbers[i][at]);
      });
    }

    function draw() {
      if (plot) plot.destroy();
      const style = getComputedStyle(figure);
      const muted = getComputedStyle(figure.querySelector("figcaption")).color;
      const line = style.getPropertyValue("border-top-color");
      const font = `12px ${style.fontFamily}`;
      const colours = legend.map((one) => getComputedStyle(one.querySelector("line")).stroke);
      const fills = legend.map((one) => getComputedStyle(one.querySelector("rect")).fill);
      const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
      plot = new window.uPlot({
        width: box.clientWidth,
        height: box.clientHeight,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
        tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        // A bar stands around its time: half a step more on both sides, so that none is cut; and room for the last words.
        padding: [null, bars ? 16 : null, null, null],
        scales: { ...(bars ? { x: { range: (_, from, to) => [from - step / 2, to + step / 2] } } : {}), y: { range: (_, __, top) => [0, top ? top * 1.05 : 1] } },
        axes: [
          { ...axis, size: 34, space: 70, values: (_, splits) => splits.map((at) => axisDate.format(at * 1000)) },
          { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3, n * 1e6]).sort((a, b) => a - b),
            values: (_, splits) => splits.map((at) => short.format(at)) },
        ],
        // Each fills only down to the edge below it, so that colours don't mix.
        series: [{}, ...legend.map((_, at) => ({
          stroke: colours[at], fill: fills[at], width: 1.5, dash: DASHES[at % DASHES.length], points: { show: false },
          ...(bars ? { paths: window.uPlot.paths.bars({ size: [.8, 40] }) } : {}),
        }))],
        bands: bars ? [] : legend.slice(1).map((_, at) => ({ series: [at + 2, at + 1] })),
        hooks: { setCursor: [(self) => say(self.cursor.idx ?? null)] },
      }, [times, ...edges], box);
      drawn.remove();
    }

    draw();
    let width = box.clientWidth;
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      plot.setSize({ width, height: box.clientHeight });
    }).observe(box);
    onTheme(draw);
  }

  function treemap(figure) {
    const box = figure.querySelector(".chart-drawing");
    const tiles = Array.from(figure.querySelectorAll("tbody > tr")).map((row) => ({
      name: row.cells[0].textContent.trim(),
      url: row.querySelector("a")?.getAttribute("href") || "",
      words: row.cells[1].textContent,
      number: Number(row.cells[1].dataset.number),
    }));

    function draw() {
      const width = box.clientWidth;
      const height = box.clientHeight;
      const root = window.d3.hierarchy({ children: tiles }).sum((tile) => tile.number || 0);
      window.d3.treemap().size([width, height]).paddingInner(3).paddingOuter(1).round(true)(root);
      const svg = element("svg", { class: "treemap", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      root.leaves().forEach((leaf, at) => {
        const [wide, high] = [leaf.x1 - leaf.x0, leaf.y1 - leaf.y0];
        if (wide < 1 || high < 1) return;
        // Keys and readers have the same links in the table.
        const holder = leaf.data.url
          ? element("a", { href: leaf.data.url, tabindex: -1 }, svg) : element("g", {}, svg);
        holder.classList.add(leaf.data.url ? `series-${at % 5 + 1}` : "series-6");
        element("title", {}, holder).textContent = `${leaf.data.name}: ${leaf.data.words}`;
        element("rect", { x: leaf.x0, y: leaf.y0, width: wide, height: high, rx: 2 }, holder);
        const fits = Math.floor((wide - 10) / 7.4);
        if (high < 20 || fits < 3) return;
        const { name } = leaf.data;
        element("text", { x: leaf.x0 + 6, y: leaf.y0 + 16 }, holder).textContent = name.length > fits ? `${name.slice(0, fits - 1)}…` : name;
        if (high >= 38 && leaf.data.words.length <= fits) {
          element("text", { x: leaf.x0 + 6, y: leaf.y0 + 32, class: "size" }, holder).textContent = leaf.data.words;
        }
      });
      box.replaceChildren(svg);
    }

    draw();
    let width = box.clientWidth;
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      draw();
    }).observe(box);
  }

  if (window.d3) document.querySelectorAll("[data-treemap]").forEach(treemap);
  if (window.uPlot) document.querySelectorAll("[data-chart]").forEach(chart);
})();
