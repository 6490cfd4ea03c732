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

  function layout() {
    const over = document.documentElement.scrollWidth - window.innerWidth;
    if (over > 0) say(3, `the page is ${over} px too wide`);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || hiddenFromEyes(element) || !isShown(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
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
    for (const paragraph of all("main p")) {
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
    const locale = document.documentElement.lang;
    if (locale !== (state.language || "en")) say(43, `lang is ${locale}`);
    for (const time of all("time")) if (!time.dateTime || !time.title) say(66, `no exact time: ${name(time)}`);
  }

  function motion() {
    const seconds = (list) => Math.max(...list.split(",").map(parseFloat));
    for (const element of all("*")) {
      const { transitionDuration, animationDuration, animationName } = style(element);
      if (seconds(transitionDuration) > .001) say(45, `moves for ${transitionDuration}: ${name(element)}`);
      if (animationName !== "none" && seconds(animationDuration) > .001) say(45, `is animated: ${name(element)}`);
    }
  }

  function print() {
    for (const element of all("header.site-header, nav, button, .site-footer, details.menu")) {
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
    for (const control of all("button, a.button, input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), select, textarea")) {
      if (!isShown(control) || hiddenFromEyes(control)) continue;
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

  const measures = { layout, prose, structure, motion, print, forcedColors, targets: () => targets(state.least) };
  for (const measure of state.measures) measures[measure]();
  return Array.from(new Set(found));
};
