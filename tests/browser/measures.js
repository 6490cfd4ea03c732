/*
 * What can be measured on a page as it stands now. Answers a list of "number words", the number
 * being that of the check in checks.md.
 */
(state) => {
  const found = [];
  const say = (check, words) => found.push(`${check} ${words}`);
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const style = (element, part) => getComputedStyle(element, part);
  const words = (element) => (element.innerText || element.value || "").trim().slice(0, 40);
  const name = (element) =>
    `<${element.localName} class="${element.getAttribute("class") || ""}"> “${words(element)}”`;
  // Heads of tables that became cards are clipped to a point, and are read all the same.
  const hiddenFromEyes = (element) => element.closest(".visually-hidden, .skip-link, svg, option") ||
    (element.closest("thead") && style(element.closest("thead")).position === "absolute");
  const isShown = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && box.width > 0 && box.height > 0;
  };
  const widthOfZero = (element) => {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = style(element).font;
    return pen.measureText("0").width;
  };

  // The part of the window in which something can be seen, as far as what stands around it cuts.
  const views = new Map();
  const viewOf = (element) => {
    if (!element || element === document.documentElement) return { left: -1e6, top: -1e6, right: 1e6, bottom: 1e6 };
    if (!views.has(element)) {
      const { overflowX, position } = style(element);
      const outer = position === "fixed" ? viewOf(null) : viewOf(element.parentElement);
      views.set(element, overflowX === "visible" ? outer : within(element.getBoundingClientRect(), outer));
    }
    return views.get(element);
  };
  const within = (one, other) => ({
    left: Math.max(one.left, other.left), top: Math.max(one.top, other.top),
    right: Math.min(one.right, other.right), bottom: Math.min(one.bottom, other.bottom),
  });
  // These lie above others because they should.
  const floats = (element) => element.closest(".menu-panel, .bulk-bar, .skip-link, .toasts, svg, .uplot") ||
    element.closest("table.matrix");

  function overlap(boxes) {
    boxes.sort((one, other) => one.top - other.top);
    const open = [];
    for (const box of boxes) {
      for (let at = open.length - 1; at >= 0; at -= 1) {
        const above = open[at];
        if (above.bottom <= box.top) { open.splice(at, 1); continue; }
        const { left, top, right, bottom } = within(box, above);
        const least = Math.min(box.bottom - box.top, above.bottom - above.top);
        if (right - left < 3 || bottom - top < Math.max(3, .35 * least)) continue;
        if (box.element.contains(above.element) || above.element.contains(box.element)) continue;
        say(6, `${name(box.element)} overlaps ${name(above.element)}`);
      }
      open.push(box);
    }
  }

  function layout() {
    const over = document.documentElement.scrollWidth - window.innerWidth;
    if (over > 0) say(3, `the page is ${over} px too wide`);
    const boxes = [];
    const note = (element, box) => {
      const seen = within(box, viewOf(element));
      if (seen.right - seen.left > 2 && seen.bottom - seen.top > 2) boxes.push({ element, ...seen });
    };
    for (const control of all("button, a.button, input, select, textarea, progress, img, .badge")) {
      const isSeen = !hiddenFromEyes(control) && isShown(control) && !floats(control);
      if (isSeen && style(control).opacity !== "0") note(control, control.getBoundingClientRect());
    }
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || hiddenFromEyes(element) || !isShown(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (!floats(element)) for (const line of range.getClientRects()) note(element, line);
      let scrolls = false;
      for (let around = element; around && around !== document.body; around = around.parentElement) {
        const { overflowX, overflowY, textOverflow, webkitLineClamp } = style(around);
        if (["auto", "scroll"].includes(overflowX)) { scrolls = true; break; }
        if (!["hidden", "clip"].includes(overflowX)) continue;
        if (around.clientWidth <= 2) break; // for ears alone
        const edge = around.getBoundingClientRect();
        const isMeant = textOverflow === "ellipsis" || webkitLineClamp !== "none";
        if (box.right > edge.right + 1 && !isMeant) say(2, `cut at its right: ${name(element)}`);
        const cutBelow = ["hidden", "clip"].includes(overflowY) && box.bottom > edge.bottom + 2;
        if (cutBelow && !isMeant) say(7, `cut below: ${name(element)}`);
      }
      if (!scrolls && (box.right > window.innerWidth + 1 || box.left < -1)) {
        say(1, `outside the window: ${name(element)}`);
      }
    }
    overlap(boxes);
    for (const cell of all("table.cards :is(td, th)")) {
      if (style(cell).display !== "flex") continue;
      const isApart = (node) => node.nodeType === Node.TEXT_NODE && node.previousElementSibling &&
        /^\s*[,.;:)](\s|$)/u.test(node.data);
      if (Array.from(cell.childNodes).some(isApart)) say(68, `apart from its word: ${name(cell)}`);
    }
    for (const table of all("table")) {
      if (!isShown(table)) continue;
      const room = table.parentElement;
      if (table.scrollWidth <= room.clientWidth + 1) continue;
      if (table.clientWidth <= room.clientWidth && table.tabIndex === 0) continue; // scrolls by itself
      const region = table.closest("[role=region]");
      if (!region || region.tabIndex !== 0 || !(region.ariaLabel || region.getAttribute("aria-labelledby"))) {
        say(4, `a table that is wider than its room, and no region: ${name(table)}`);
      }
    }
  }

  function prose() {
    for (const paragraph of all("main p, main ul:not([class]) > li")) {
      if (!isShown(paragraph) || hiddenFromEyes(paragraph) || paragraph.closest("table, pre")) continue;
      const range = document.createRange();
      range.selectNodeContents(paragraph);
      const lines = Array.from(range.getClientRects());
      const width = Math.max(0, ...lines.map((line) => line.right)) -
        Math.min(...lines.map((line) => line.left));
      const isBlock = paragraph.querySelector("div, form, table, ul, ol, input, button, .badge, dl");
      if (!isBlock && width > 80 * widthOfZero(paragraph) && (paragraph.innerText || "").length > 90) {
        say(5, `${Math.round(width / widthOfZero(paragraph))} ch wide: ${name(paragraph)}`);
      }
    }
  }

  function targets(least) {
    const selector = "button, a.button, select, input:not([type=hidden]), textarea, summary, nav a";
    for (const control of all(selector)) {
      if (!isShown(control) || hiddenFromEyes(control) || control.closest(".breadcrumb, [aria-disabled=true]")) continue;
      let { height } = control.getBoundingClientRect();
      const around = style(control, "::before");
      if (around.position === "absolute") height = Math.max(height, parseFloat(around.height));
      for (const label of control.labels || []) height = Math.max(height, label.getBoundingClientRect().height);
      if (height < least - .5) say(35, `${Math.round(height)} px high: ${name(control)}`);
    }
  }

  function structure() {
    const headings = all("h1, h2, h3, h4, h5, h6").filter((one) => one.checkVisibility());
    const levels = headings.map((one) => Number(one.localName[1]));
    if (levels.filter((level) => level === 1).length !== 1) say(25, `h1: ${levels}`);
    levels.forEach((level, at) => {
      if (at && level > levels[at - 1] + 1) say(25, `from h${levels[at - 1]} to ${name(headings[at])}`);
    });
    const stops = all("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]");
    const [first] = stops;
    if (!first.matches("a.skip-link[href='#main']") || !document.getElementById("main")) {
      say(27, `first is ${name(first)}`);
    }
    for (const stop of stops) if (stop.tabIndex > 0) say(29, `tabindex ${stop.tabIndex}: ${name(stop)}`);
    for (const table of all("table")) {
      if (!table.caption?.innerText.trim() && !table.caption?.textContent.trim()) say(39, `no caption: ${name(table)}`);
      for (const th of table.querySelectorAll("th")) if (!th.scope) say(39, `no scope: ${name(th)}`);
      if (!table.querySelector("th")) say(39, `no head: ${name(table)}`);
    }
    for (const icon of all("svg")) {
      const isNamed = icon.ariaLabel || icon.getAttribute("aria-labelledby") || icon.querySelector("title");
      if (icon.ariaHidden !== "true" && !(icon.getAttribute("role") === "img" && isNamed) && !(icon.getAttribute("role") === "group" && isNamed) && !icon.closest("[aria-hidden=true], [role=img]")) {
        say(42, `neither hidden nor named: ${icon.outerHTML.slice(0, 90)}`);
      }
    }
    for (const control of all("a[href], button, summary")) {
      const text = control.textContent.trim() || control.ariaLabel || control.title ||
        control.querySelector("[aria-label], title, img[alt]") || control.getAttribute("aria-labelledby");
      if (!text) say(42, `has no name: ${control.outerHTML.slice(0, 90)}`);
    }
    languages();
    const side = document.querySelector(".page > .page-side");
    if (side && (side.childElementCount > 0) !== side.parentElement.matches(".has-side"))
      say(62, "block layout of base.html says otherwise of its side, which comes after what stands beside it");
    for (const time of all("time")) if (!time.dateTime || !time.title) say(66, `no exact time: ${name(time)}`);
  }

  function languages() {
    const locale = document.documentElement.lang;
    if (locale !== state.language) say(43, `lang is ${locale}`);
    for (const readme of all("[dir=auto]")) if (readme.closest("[lang]").lang) say(43, `claims a language: ${name(readme)}`);
  }

  // What a page says in its own language, and what it says is of none or of another.
  function texts(selector, isOurs) {
    const say = (text) => { if (/\p{L}{2}/u.test(text || "")) found.push(text.trim().replace(/\s+/g, " ")); };
    const named = ["aria-label", "placeholder", "title", "alt", "data-label", "data-words"];
    for (const element of document.querySelectorAll(selector)) {
      if (element.closest("script, style, code, pre, textarea, .mono, .hash, option[value*='/']")) continue;
      if (isOurs !== (element.closest("[lang]").lang === document.documentElement.lang)) continue;
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) say(node.data);
      for (const { name: attribute, value } of element.attributes) {
        if (named.includes(attribute) || /^data-.*-text$/.test(attribute)) say(value);
      }
    }
  }
  const ours = () => texts("title, body, body *", true);
  const foreign = () => texts("[lang]:not(html, .language-form *), [lang]:not(html, .language-form *) *", false);

  function motion() {
    const seconds = (list) => Math.max(...list.split(",").map(parseFloat));
    for (const element of all("*")) {
      const { transitionDuration, animationDuration, animationName } = style(element);
      if (seconds(transitionDuration) > .001) say(45, `moves for ${transitionDuration}: ${name(element)}`);
      if (animationName !== "none" && seconds(animationDuration) > .001) say(45, `is animated: ${name(element)}`);
    }
  }

  function print() {
    for (const element of all("header.site-header, nav, button, .site-footer, details.menu, .install-tabs, [type=checkbox][data-row]")) {
      if (isShown(element)) say(9, `is printed: ${name(element)}`);
    }
    for (const table of all("table")) {
      const box = table.parentElement;
      if (isShown(table) && ["auto", "scroll", "hidden"].includes(style(box).overflowX)) {
        say(9, `a table that is cut on paper: ${name(table)}`);
      }
    }
  }

  function forcedColors() {
    for (const control of kinds("button, a.button, input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), select, textarea", "forced")) {
      control.focus({ focusVisible: true });
      const { outlineStyle, outlineWidth } = style(control);
      if (outlineStyle === "none" || parseFloat(outlineWidth) < 1) say(44, `no focus: ${name(control)}`);
      const isField = control.matches("input, select, textarea");
      if (isField && style(control).borderTopStyle === "none" && style(control.parentElement).borderTopStyle === "none") {
        say(44, `no border: ${name(control)}`);
      }
    }
    document.activeElement.blur();
  }

  // One of each kind, on all pages of this window: what has the same classes all the way up is
  // styled alike.
  function kinds(selector, what) {
    const known = new Set(JSON.parse(sessionStorage.getItem(what) || "[]"));
    const found = new Map();
    for (const element of all(selector)) {
      if (!isShown(element) || hiddenFromEyes(element)) continue;
      let kind = element.type || "";
      for (let around = element; around !== document.body; around = around.parentElement) {
        kind += ` ${around.localName}.${around.getAttribute("class") || ""}`;
      }
      if (!known.has(kind) && !found.has(kind)) found.set(kind, element);
    }
    sessionStorage.setItem(what, JSON.stringify([...known, ...found.keys()]));
    return Array.from(found.values());
  }

  // As WCAG counts. Colors come as rgb() or as color(srgb …), so a pen reads them.
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = new Map();
  function mix(...colors) {
    const key = colors.join();
    if (!painted.has(key)) {
      for (const color of colors) { pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); }
      painted.set(key, Array.from(pen.getImageData(0, 0, 1, 1).data).slice(0, 3));
    }
    return painted.get(key);
  }
  function contrast(one, other) {
    const [high, low] = [one, other].map((color) => {
      const [r, g, b] = color.map((part) => part / 255)
        .map((part) => (part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4));
      return .2126 * r + .7152 * g + .0722 * b;
    }).sort((a, b) => b - a);
    return (high + .05) / (low + .05);
  }
  const surface = (element) => {
    const layers = [];
    for (let around = element; around; around = around.parentElement) layers.unshift(style(around).backgroundColor);
    return mix("Canvas", ...layers.filter((color) => color !== "rgba(0, 0, 0, 0)"));
  };

  // All pairs of colors that words are written with.
  function colors() {
    for (const element of all("body *")) {
      const hasWords = Array.from(element.childNodes).some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      if (!hasWords || !isShown(element) || hiddenFromEyes(element)) continue;
      const { color, fontSize, fontWeight, opacity } = style(element);
      const isLarge = parseFloat(fontSize) >= (fontWeight >= 600 ? 18.5 : 24);
      found.push(`${color} on ${surface(element)}, ${opacity}, ${isLarge}`);
    }
  }

  // What shows that an element has the focus: its own ring, or one around what stands for it.
  function ringOf(element) {
    for (const around of [element, element.closest("label"), element.parentElement]) {
      if (!around) continue;
      const { outlineStyle, outlineWidth, outlineColor, outlineOffset } = style(around);
      if (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && style(around).opacity !== "0") {
        return { around, color: outlineColor, offset: parseFloat(outlineOffset), width: parseFloat(outlineWidth) };
      }
    }
    const shape = element.querySelector(":scope > rect");
    return shape && parseFloat(style(shape).strokeWidth) >= 2
      ? { around: shape, color: style(shape).stroke, offset: 0, width: 1 } : null;
  }

  function focus() {
    const shut = all("details:not([open])");
    for (const details of shut) details.open = true;
    const themeNow = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    for (const stop of kinds("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']", themeNow)) {
      stop.focus({ focusVisible: true, preventScroll: true });
      if (document.activeElement !== stop) continue; // disabled
      const ring = ringOf(stop);
      if (!ring) { say(28, `no ring: ${name(stop)}`); continue; }
      const beneath = surface(ring.offset < 0 ? ring.around : ring.around.parentElement);
      const ratio = contrast(mix(ring.color), beneath);
      if (ratio < 3) say(28, `a ring of ${ratio.toFixed(1)}: ${name(stop)}`);
      const box = ring.around.getBoundingClientRect();
      const out = ring.offset + ring.width;
      const view = viewOf(ring.around.parentElement);
      // What is scrolled out of its region is no sign of a ring that is cut.
      const cut = [[box.left, -out, view.left], [box.top, -out, view.top],
        [-box.right, -out, -view.right], [-box.bottom, -out, -view.bottom],
      ].map(([edge, reach, end]) => edge >= end && edge + reach < end - .5);
      if (cut.some(Boolean)) say(28, `a ring that is cut (${cut.map(Number)}): ${name(stop)}`);
    }
    document.activeElement.blur();
    for (const details of shut) details.open = false;
  }

  // Check 67: as in a language whose words are longer by 40 %. What people and programs wrote stays.
  function lengthen() {
    const more = ["und", "dabei", "werden", "Einstellungen", "Zugriffsrechte", "Veröffentlichungsrechte"];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const nodes = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (/\p{L}{2}/u.test(node.data) && !element.closest(
        "script, style, code, pre, textarea, svg, .mono, .hash, [lang='']")) nodes.push(node);
    }
    for (const node of nodes) {
      const text = node.data.trimEnd();
      let room = Math.ceil(.4 * text.trim().length);
      let longer = text;
      while (room > 0) {
        const word = more.filter(({ length }) => length < room).at(-1);
        longer += word ? ` ${word}` : "unge".slice(0, room);
        room -= word ? word.length + 1 : room;
      }
      node.data = longer + node.data.slice(text.length);
    }
  }

  const measures = { colors, focus, foreign, languages, lengthen, layout, ours, prose, structure, motion, print, forcedColors, targets: () => targets(state.least) };
  for (const measure of state.measures) measures[measure]();
  return Array.from(new Set(found));
};
