/*
 * The form of a new token says what the token will be while it is filled in. The words and the list of packages come
 * from the form's own preview, which works by its button without this.
 */
(() => {
  "use strict";

  const form = document.querySelector("form[data-token-form]");
  if (!form) return;
  const parts = ["token-summary", "package-choices"];
  const preview = form.querySelector("[data-token-preview]");
  if (preview) preview.hidden = true;
  let last = 0;
  let waiting = 0;

  async function refresh(changed) {
    const mine = ++last;
    let answer;
    try {
      answer = await fetch(form.dataset.tokenForm, { method: "POST", body: new FormData(form), headers: { "X-Requested-With": "XMLHttpRequest" } });
    } catch {
      return; // Offline: the form still works, its answer says what is wrong.
    }
    if (!answer.ok || mine !== last) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== last) return;
    for (const id of parts) {
      const now = document.getElementById(id);
      const then = page.getElementById(id);
      // A list that is being ticked in must not move under the pointer.
      if (!now || !then || (id === "package-choices" && changed !== "package_filter")) continue;
      if (now.innerHTML !== then.innerHTML) now.replaceChildren(...then.childNodes);
    }
  }

  // A day matters to one choice only; what was written stays in sight, since it would be refused.
  const lastDay = form.elements.expires_at;
  function showLastDay() {
    lastDay.closest(".field").hidden = form.elements.lifetime.value !== "date" && !lastDay.value;
  }
  form.addEventListener("change", showLastDay);
  showLastDay();

  form.addEventListener("input", (event) => {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(refresh, 250, event.target.name);
  });

  form.addEventListener("keydown", (event) => {
    // Enter in the filter would create the token.
    if (event.key === "Enter" && event.target.name === "package_filter") {
      event.preventDefault();
      refresh("package_filter");
    }
  });
})();
