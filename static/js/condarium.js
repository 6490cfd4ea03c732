/*
 * What pages can do besides working: copy buttons, the theme without a reload, exact local times, "/" for search,
 * menus that close, rows that are selected by keyboard, one post per press. Every page works without any of it.
 *
 * data-copy              on a <button hidden>: copies its value, or the <pre> beside it
 * data-autosubmit        on a form: a changed choice sends it
 * data-select-rows       on a form with input[name][type=checkbox][data-row]; [data-select-all], [data-select-count]
 * data-guard             on a form: leaving the page with changes unsaved asks first
 */
(() => {
  "use strict";

  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const text = (name) => document.body.dataset[name] || "";

  function say(words) {
    const status = document.getElementById("status");
    if (!status) return;
    // The same words twice are only read again when they were gone in between.
    status.textContent = "";
    window.setTimeout(() => { status.textContent = words; }, 50);
  }

  /* Copy */

  function copySource(button) {
    const box = button.closest(".command-box");
    return box ? box.querySelector("pre") : button.parentElement.querySelector("code");
  }

  function select(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }

  async function copy(button) {
    const source = copySource(button);
    const words = button.dataset.copy || source.textContent;
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      // No clipboard without HTTPS or when it is refused.
      if (button.dataset.copy) source.textContent = words;
      select(source);
      say(text("selectedText"));
      return;
    }
    button.dataset.copied = "";
    say(text("copiedText"));
    window.setTimeout(() => { delete button.dataset.copied; }, 2000);
  }

  /* Times: the title in the reader's own zone, the UTC one after it. */

  /* The server writes times in this zone from the next page on, where the profile names none. */

  function tellZone() {
    const zone = encodeURIComponent(new Intl.DateTimeFormat().resolvedOptions().timeZone || "");
    if (!zone || document.cookie.split("; ").includes(`timezone=${zone}`)) return;
    const secure = window.location.protocol === "https:" ? "; secure" : "";
    document.cookie = `timezone=${zone}; path=/; max-age=31622400; samesite=lax${secure}`;
  }

  function localizeTimes(root) {
    const format = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
      dateStyle: "long", timeStyle: "long",
    });
    for (const time of all("time[datetime]:not([data-local])", root)) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.valueOf())) continue;
      time.dataset.local = "";
      time.title = `${format.format(moment)} (${time.dateTime})`;
    }
  }

  /* Rows: x toggles, shift-click spans, the box on top has three states. */

  function rowsOf(form) {
    return all("input[type=checkbox][data-row]", form);
  }

  function countRows(form) {
    const rows = rowsOf(form);
    const chosen = rows.filter((row) => row.checked).length;
    for (const row of rows) row.closest("tr, li")?.setAttribute("aria-selected", String(row.checked));
    for (const box of all("[data-select-all]", form)) {
      box.checked = chosen > 0 && chosen === rows.length;
      box.indeterminate = chosen > 0 && chosen < rows.length;
    }
    for (const place of all("[data-select-count]", form)) place.textContent = String(chosen);
  }

  let lastRow = null;

  function spanRows(row, form) {
    const rows = rowsOf(form);
    const from = rows.indexOf(lastRow);
    const to = rows.indexOf(row);
    if (from < 0) return;
    for (const between of rows.slice(Math.min(from, to), Math.max(from, to) + 1)) between.checked = row.checked;
  }

  /* Every part that came with the page or with a swap. */

  function enhance(root) {
    for (const button of all("button[data-copy]", root)) button.hidden = false;
    for (const button of all("[data-theme-form] button", root)) button.hidden = true;
    if (window.PublicKeyCredential) {
      for (const part of all("[data-needs-passkeys]", root)) part.hidden = false;
    }
    for (const form of all("[data-select-rows]", root)) {
      countRows(form);
      for (const box of all("[data-select-all], [data-scripted]", form)) box.hidden = false;
    }
    for (const current of all("nav:is(.tabs, .side-menu) [aria-current]", root)) {
      const bar = current.closest("nav");
      bar.scrollLeft = current.offsetLeft - (bar.clientWidth - current.offsetWidth) / 2;
    }
    localizeTimes(root);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
    for (const menu of all("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const row = event.target.closest("input[data-row]");
    if (row) {
      const form = row.closest("[data-select-rows]");
      if (form && event.shiftKey && lastRow) spanRows(row, form);
      lastRow = row;
      if (form) countRows(form);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (event.key === "/" && !typing) {
      const search = all("[data-search-shortcut], [type=search]").find((field) => field.offsetParent !== null);
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "Escape") {
      for (const menu of all("details.menu[open]")) {
        const inside = menu.contains(document.activeElement);
        menu.open = false;
        if (inside) menu.querySelector("summary").focus();
      }
    } else if (event.key === "x" && !typing) {
      const box = event.target.closest("tr, li")?.querySelector("input[data-row]");
      if (box) box.click();
    }
  });

  document.addEventListener("focusin", (event) => {
    for (const menu of all("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("change", async (event) => {
    const form = event.target.form;
    if (!form) return;
    if (event.target.matches("[data-select-all]")) {
      for (const row of rowsOf(form)) row.checked = event.target.checked;
      countRows(form);
    } else if (form.matches("[data-theme-form]")) {
      const chosen = new FormData(form).get("theme");
      if (chosen === "system") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = chosen;
      // The server keeps it in a cookie; the redirect to the page is of no use here.
      await fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" });
    } else if (form.matches("[data-autosubmit]")) {
      form.requestSubmit();
    }
    if (form.matches("[data-guard]")) form.dataset.changed = "";
  });

  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-guard][data-changed]")) event.preventDefault();
  });

  /* One press, one post. Coming back by the Back button makes the form usable again. */

  document.addEventListener("submit", (event) => {
    const form = event.target;
    delete form.dataset.changed;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "";
    event.submitter?.setAttribute("aria-busy", "true");
  });

  function freeForms(root) {
    for (const form of all("form[data-sent]", root)) delete form.dataset.sent;
    for (const button of all("button[aria-busy=true]", root)) button.removeAttribute("aria-busy");
  }

  window.addEventListener("pageshow", (event) => {
    if (event.persisted) freeForms(document);
  });

  // Other scripts tell of a part that they put in, and of what is to be heard.
  document.addEventListener("part-swapped", (event) => enhance(event.target));
  document.addEventListener("say", (event) => say(event.detail));
  tellZone();
  enhance(document);
})();
