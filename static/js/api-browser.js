/*
 * What Swagger UI's page needs besides it: the theme before the first paint, and a layout and names that people
 * who don't see the page can go by.
 */
(() => {
  "use strict";

  /* Theme: Swagger UI knows its dark one by a class. Where none is chosen, the system's decides, now and later. */

  const root = document.documentElement;
  if (!root.dataset.theme) {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => root.classList.toggle("dark-mode", dark.matches);
    follow();
    dark.addEventListener("change", follow);
  }

  /* Layout: in place of its own, which has a second <main>, and headings from the third level on. */

  const layout = ({ React: { createElement: make } }) => ({ getComponent, specSelectors }) => {
    const part = (name) => make(getComponent(name, true));
    const state = specSelectors.loadingStatus();
    if (state !== "success") {
      const words = state === "failed" ? "The API's document can't be loaded. Load the page again." : "Loading…";
      return make("p", { className: "wrapper", role: state === "failed" ? "alert" : "status" }, words);
    }
    return make("div", { className: "swagger-ui" },
      make(getComponent("SvgAssets")),
      make("div", { className: "wrapper" },
        make("p", null, specSelectors.info().get("description")),
        part("errors"),
        make("div", { className: "section-head" }, make("h2", null, "Operations"), part("AuthorizeBtnContainer")),
        part("operations"),
        part("Models"),
      ),
    );
  };

  // Links to operations lie in the buttons that open them, and lead nowhere else.
  const words = ({ React: { createElement: make } }) => ({ text }) => make("span", null, text);

  window.ApiBrowser = (system) => ({ components: { ApiBrowserLayout: layout(system), DeepLink: words(system) } });

  /* Names, and stops for keys, where Swagger UI has none. */

  function mend(part) {
    for (const table of part.querySelectorAll("table[role=region]")) table.removeAttribute("role");
    for (const pre of part.querySelectorAll("pre")) pre.tabIndex = 0;
    for (const control of part.querySelectorAll(".parameters-col_description :is(select, input, textarea)")) {
      if (!control.ariaLabel) control.ariaLabel = control.closest("tr")?.dataset.paramName || "Body";
    }
    for (const button of part.querySelectorAll(".close-modal")) button.ariaLabel = "Close";
    for (const control of part.querySelectorAll("select:not([aria-label], [id])")) control.ariaLabel = "Media type";
  }

  document.addEventListener("DOMContentLoaded", () => {
    const whole = document.getElementById("swagger-ui");
    new MutationObserver(() => mend(whole)).observe(whole, { childList: true, subtree: true });
  });
})();
