/*
 * Results while typing. The form names the element that holds them; the server sends the same part of the page alone.
 * The address follows, so that it can be copied and Back leads to what was there before the search.
 */
(() => {
  "use strict";

  const form = document.querySelector("form[data-search]");
  const results = form && document.getElementById(form.dataset.search);
  if (!results) return;
  const field = form.elements.q;
  let timer = 0;
  let asked = null;

  function address() {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
    return `${form.action}?${query}`;
  }

  async function ask() {
    const url = address();
    // A late answer must not take the place of a newer one.
    asked?.abort();
    asked = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${url}&part=results`, { signal: asked.signal, headers: { "X-Requested-With": "XMLHttpRequest" } });
      if (!answer.ok || answer.redirected) return form.submit();
      results.innerHTML = await answer.text();
      // A region that comes with its words is not read by all readers, the page's own is.
      const said = results.querySelector("[data-said], .empty")?.innerText.trim();
      document.dispatchEvent(new CustomEvent("say", { detail: said }));
      window.history.replaceState(null, "", url);
      document.querySelector("#site-search").value = field.value;
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      return undefined;
    }
    results.removeAttribute("aria-busy");
    return undefined;
  }

  form.addEventListener("input", (event) => {
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, event.target === field ? 150 : 0);
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    window.clearTimeout(timer);
    ask();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = Array.from(results.querySelectorAll("a.row-title"));
    const at = links.indexOf(document.activeElement);
    if (document.activeElement !== field && at < 0) return;
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    if (next >= links.length || (document.activeElement === field && next < 0)) return;
    event.preventDefault();
    (next < 0 ? field : links[next]).focus();
  });
})();
