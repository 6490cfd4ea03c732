/*
 * Follows a job: asks for the part of its page that changes, and puts in what changed.
 *
 * data-follow="URL"   on the part; data-seconds how often; each [data-part] in it is replaced when it differs
 *                     (in its data-version, where it has one).
 *                     The answer's [data-over] ends it; its [data-said] is read out when it changed.
 */
(() => {
  "use strict";

  const MOST_FAILURES = 15;

  // A form differs each time by its token: its part says itself when it is another one.
  function isSame(old, part) {
    if (part.dataset.version) return part.dataset.version === old.dataset.version;
    return [old.dataset.came, old.innerHTML].includes(part.innerHTML);
  }

  function follow(place) {
    const seconds = Number(place.dataset.seconds) || 2;
    let failures = 0;
    let said = place.querySelector("[data-said]")?.dataset.said || "";

    function put(fresh) {
      for (const part of fresh.querySelectorAll("[data-part]")) {
        const old = place.querySelector(`[data-part="${part.dataset.part}"]`);
        if (!old || isSame(old, part)) continue;
        const hadFocus = old.contains(document.activeElement);
        const came = part.innerHTML;
        old.replaceWith(part);
        // Later compared with what came, not with what other scripts made of it.
        part.dataset.came = came;
        part.dispatchEvent(new CustomEvent("part-swapped", { bubbles: true }));
        if (hadFocus) document.getElementById("main").focus();
      }
    }

    function tell(fresh) {
      const words = fresh.querySelector("[data-said]")?.dataset.said || "";
      if (!words || words === said) return;
      said = words;
      document.dispatchEvent(new CustomEvent("say", { detail: words }));
    }

    async function look() {
      if (document.hidden) return true;
      const answer = await fetch(place.dataset.follow, { redirect: "error", headers: { "X-Requested-With": "XMLHttpRequest" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      const over = fresh.querySelector("[data-over]") !== null;
      tell(fresh);
      put(fresh);
      failures = 0;
      return !over;
    }

    async function again() {
      let more = true;
      try {
        more = await look();
      } catch {
        failures += 1;
        more = failures < MOST_FAILURES;
      }
      if (more) window.setTimeout(again, 1000 * Math.min(30, seconds * (1 + failures)));
    }

    for (const link of place.querySelectorAll("[data-without-script]")) link.hidden = true;
    window.setTimeout(again, 1000 * seconds);
  }

  for (const place of document.querySelectorAll("[data-follow]")) follow(place);
})();
