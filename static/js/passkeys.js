/*
 * Has the browser make or show a passkey when a form asks for one, and sends what it got with the form.
 *
 * form[data-passkey=create|get]   with data-options (what the server asks for) or data-options-url (where it says so)
 * input[name=credential]          takes the answer;  [data-passkey-refused][data-words] says when there was none
 */
(() => {
  "use strict";

  async function optionsOf(form) {
    if (form.dataset.options) return JSON.parse(form.dataset.options);
    const answer = await fetch(form.dataset.optionsUrl, { headers: { Accept: "application/json", "X-Requested-With": "XMLHttpRequest" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()).request_options;
  }

  function wishes(form, options) {
    const alone = form.querySelector("input[name=passwordless]");
    const selection = options.publicKey.authenticatorSelection;
    if (!alone || !selection) return options;
    selection.residentKey = alone.checked ? "required" : "discouraged";
    selection.requireResidentKey = alone.checked;
    if (alone.checked) selection.userVerification = "required";
    return options;
  }

  async function ask(form) {
    const refused = form.querySelector("[data-passkey-refused]");
    const button = form.querySelector("button");
    refused.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      const options = await optionsOf(form);
      const credential = form.dataset.passkey === "create"
        ? await window.webauthnJSON.create(wishes(form, options))
        : await window.webauthnJSON.get(options);
      form.querySelector("input[name=credential]").value = JSON.stringify(credential);
      form.submit();
    } catch {
      // Whoever pressed "Cancel" or let the time pass; the browser doesn't tell one from the other.
      refused.textContent = refused.dataset.words;
      button.removeAttribute("aria-busy");
    }
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(form);
    });
  }
})();
