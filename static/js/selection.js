/*
 * Files that are chosen on several pages of one list: kept for this tab, under the address of the list.
 *
 * data-select-kept       on a form[data-select-rows] with input[name=file][data-row]; without a script each page
 *                        is a form of its own
 * data-select-matching   on the box that stands for all files of the list: how many those are
 */
(() => {
  "use strict";

  const AT_MOST = 500;
  const form = document.querySelector("form[data-select-kept]");
  if (!form) return;

  function listAddress() {
    const query = new URLSearchParams(window.location.search);
    for (const name of ["after", "before", "done", "sort"]) query.delete(name);
    query.sort();
    return `chosen ${window.location.pathname}?${query}`;
  }

  const key = listAddress();
  const rows = Array.from(form.querySelectorAll("input[data-row]"));
  const matching = form.querySelector("[data-select-matching]");
  const place = form.querySelector("[data-select-count]");
  // What was chosen is done with.
  if (new URLSearchParams(window.location.search).has("done")) window.sessionStorage.removeItem(key);
  const chosen = new Set(JSON.parse(window.sessionStorage.getItem(key) || "[]"));

  function show() {
    const all = matching?.checked;
    place.textContent = all ? Number(matching.dataset.selectMatching).toLocaleString(document.documentElement.lang) : String(chosen.size);
  }

  function keep() {
    for (const row of rows) {
      if (row.checked) chosen.add(row.value);
      else chosen.delete(row.value);
    }
    window.sessionStorage.setItem(key, JSON.stringify([...chosen].slice(0, AT_MOST)));
    show();
  }

  function restore() {
    for (const row of rows) {
      row.checked = chosen.has(row.value);
      row.closest("tr").setAttribute("aria-selected", String(row.checked));
    }
    const here = rows.filter((row) => row.checked).length;
    for (const box of form.querySelectorAll("[data-select-all]")) {
      box.checked = here > 0 && here === rows.length;
      box.indeterminate = here > 0 && here < rows.length;
    }
    show();
  }

  // The form sends one short text in place of hundreds of fields: an address has room for little.
  function packed() {
    let last = 0;
    return [...chosen].map(Number).sort((a, b) => a - b).slice(0, AT_MOST).map((id) => {
      const distance = id - last;
      last = id;
      return distance.toString(36);
    }).join(".");
  }

  // Whatever else counts the boxes has done so by then.
  for (const event of ["click", "change", "keydown"]) {
    form.addEventListener(event, () => window.setTimeout(keep, 0));
  }

  form.addEventListener("formdata", (event) => {
    event.formData.delete("file");
    if (!matching?.checked) event.formData.set("files", packed());
  });

  window.addEventListener("pageshow", () => restore());
  restore();
})();
