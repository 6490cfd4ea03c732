/*
 * Draws what stands around a package, from the columns of links that the page has anyway (data-walk): a name's
 * data-needs are lines to other names. dagre says where things go; names are links that re-centre, as in the columns.
 */
(() => {
  "use strict";

  const figure = document.querySelector("[data-graph]");
  const columns = document.querySelector("[data-walk]");
  if (!figure || !columns || !window.dagre) return;

  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 28;
  const LONGEST = 28;
  const names = Array.from(columns.querySelectorAll("[data-node]"));
  if (names.length < 2) return;

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    if (parent) parent.append(made);
    return made;
  }

  function shortened(name) {
    return name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
  }

  const graph = new window.dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 10, ranksep: 48, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const one of names) {
    const label = shortened(one.dataset.node);
    graph.setNode(one.dataset.node, { label, source: one, width: Math.ceil(label.length * 7.9) + 20, height: HEIGHT });
  }
  for (const one of names) {
    for (const needed of (one.dataset.needs || "").split(" ")) {
      if (needed && needed !== one.dataset.node && graph.hasNode(needed)) graph.setEdge(one.dataset.node, needed);
    }
  }
  window.dagre.layout(graph);

  const { width, height } = graph.graph();
  const svg = element("svg", {
    viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`, width: Math.ceil(width), height: Math.ceil(height),
    role: "group", "aria-label": figure.getAttribute("aria-label"),
  });
  const head = element("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
  }, element("defs", {}, svg));
  element("path", { d: "M0 0 8 4 0 8z", class: "graph-arrow" }, head);

  for (const edge of graph.edges()) {
    const { points } = graph.edge(edge);
    const [first, ...rest] = points;
    const path = [`M${first.x.toFixed(1)} ${first.y.toFixed(1)}`];
    for (let i = 0; i + 1 < rest.length; i += 2) {
      const [bend, end] = [rest[i], rest[i + 1]];
      path.push(`Q${bend.x.toFixed(1)} ${bend.y.toFixed(1)} ${end.x.toFixed(1)} ${end.y.toFixed(1)}`);
    }
    if (rest.length % 2) path.push(`L${rest.at(-1).x.toFixed(1)} ${rest.at(-1).y.toFixed(1)}`);
    element("path", { d: path.join(""), class: "graph-line", "marker-end": "url(#arrow)", "aria-hidden": "true" }, svg);
  }

  for (const name of graph.nodes()) {
    const node = graph.node(name);
    const isHere = !node.source.href;
    const holder = isHere
      ? element("g", { class: "graph-node here" }, svg)
      : element("a", { href: node.source.getAttribute("href"), class: "graph-node" }, svg);
    if ("elsewhere" in node.source.dataset) holder.classList.add("elsewhere");
    element("title", {}, holder).textContent = name;
    element("rect", {
      x: node.x - node.width / 2, y: node.y - HEIGHT / 2, width: node.width, height: HEIGHT, rx: 4,
    }, holder);
    element("text", { x: node.x, y: node.y + 4.5, "text-anchor": "middle" }, holder).textContent = node.label;
  }

  figure.append(svg);
  figure.hidden = false;
  const here = graph.nodes().find((name) => !graph.node(name).source.href);
  if (here) figure.scrollLeft = graph.node(here).x - figure.clientWidth / 2;
})();
