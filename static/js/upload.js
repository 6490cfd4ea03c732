/*
 * Uploading several files from a page: chosen or dropped, each with its own progress and its own answer. A file is
 * sent by the form's own URL, one at a time, so that one that fails costs the others nothing.
 */
(() => {
  "use strict";

  const form = document.querySelector("form[data-upload]");
  if (!form) return;

  const field = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const list = form.querySelector("[data-upload-rows]");
  const stopButton = form.querySelector("[data-upload-stop]");
  const count = form.querySelector("[data-upload-count]");
  const submit = form.querySelector("button[type=submit]");
  const template = document.querySelector("template[data-upload-row]");
  const words = (name) => form.dataset[`words${name[0].toUpperCase()}${name.slice(1)}`] || "";

  /* Of { file, element, state: waiting, sending, done, unchanged, failed, stopped }. */
  let rows = [];
  let request = null;

  for (const part of form.querySelectorAll("[data-scripted-upload]")) part.hidden = false;
  // The list decides now that something is chosen.
  field.required = false;

  function filesize(bytes) {
    const units = ["B", "kB", "MB", "GB"];
    let size = bytes;
    let unit = 0;
    while (size >= 999.5 && unit < units.length - 1) {
      size /= 1000;
      unit += 1;
    }
    const format = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: size < 10 && unit ? 1 : 0 });
    return `${format.format(size)} ${units[unit]}`;
  }

  // Words in which addresses of this host are links, as the filter of the same name has them.
  function linked(text) {
    const address = new RegExp(`(${location.origin.replaceAll(".", "[.]")}/[\\w./~-]*[\\w/-])`);
    return text.split(address).map((part, at) => {
      if (at % 2 === 0) return part;
      const link = document.createElement("a");
      link.href = link.textContent = part;
      return link;
    });
  }

  function show(row, state, text) {
    row.state = state;
    row.element.dataset.state = state;
    row.element.querySelector("[data-state]").replaceChildren(...linked(text));
    row.element.querySelector("progress").hidden = state !== "sending";
    for (const icon of row.element.querySelectorAll("[data-icon]")) icon.hidden = icon.dataset.icon !== state;
    row.element.querySelector("[data-remove]").hidden = state === "done" || state === "unchanged";
    tell();
  }

  function tell() {
    const started = rows.some((row) => row.state !== "waiting");
    const done = rows.filter((row) => row.state === "done" || row.state === "unchanged").length;
    const failed = rows.filter((row) => row.state === "failed" || row.state === "stopped").length;
    const parts = [];
    if (started) {
      parts.push(words("done").replace("{done}", done).replace("{all}", rows.length));
      if (failed) parts.push(words("failed").replace("{failed}", failed));
    }
    const said = parts.join(" · ");
    if (count.textContent !== said) count.textContent = said;
    list.hidden = rows.length === 0;
  }

  function add(files) {
    for (const file of files) {
      if (rows.some((row) => row.state === "waiting" && row.file.name === file.name && row.file.size === file.size)) continue;
      const element = template.content.firstElementChild.cloneNode(true);
      const fits = file.name.endsWith(".conda") || file.name.endsWith(".tar.bz2");
      const row = { file, element, state: "waiting", unfit: !fits };
      element.querySelector("[data-name]").textContent = file.name;
      element.querySelector("[data-facts]").textContent = filesize(file.size);
      element.querySelector("progress").setAttribute("aria-label", file.name);
      element.querySelector("[data-remove] span").textContent = words("remove").replace("{name}", file.name);
      element.querySelector("[data-remove]").addEventListener("click", () => remove(row));
      list.append(element);
      rows.push(row);
      show(row, fits ? "waiting" : "failed", fits ? words("waiting") : words("unfit"));
    }
  }

  function remove(row) {
    if (row.state === "sending") {
      request?.abort();
      return;
    }
    row.element.remove();
    rows = rows.filter((other) => other !== row);
    tell();
    field.focus();
  }

  function answered(row, sent) {
    if (sent.status === 0) return show(row, "failed", words("lost"));
    let answer = null;
    try {
      answer = JSON.parse(sent.responseText);
    } catch {
      return show(row, "failed", words("odd"));
    }
    const result = answer.results?.[0];
    if (!result) return show(row, "failed", answer.detail || words("odd"));
    if (result.url) {
      const link = document.createElement("a");
      link.href = result.url;
      link.textContent = result.name;
      row.element.querySelector("[data-name]").replaceChildren(link);
      row.element.querySelector("[data-facts]").textContent = `${result.facts} · ${filesize(row.file.size)}`;
    }
    return show(row, result.state, result.words);
  }

  function send(row) {
    return new Promise((resolve) => {
      const body = new FormData();
      for (const [name, value] of new FormData(form)) {
        if (name !== field.name) body.append(name, value);
      }
      body.append(field.name, row.file, row.file.name);
      request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-Requested-With", "XMLHttpRequest"); // answered in the page's language
      const bar = row.element.querySelector("progress");
      const progress = (event) => {
        if (!event.lengthComputable || row.state !== "sending") return;
        const percent = Math.floor((100 * event.loaded) / event.total);
        bar.value = percent;
        const text = percent < 100 ? `${words("sending")} ${percent} %` : words("checking");
        row.element.querySelector("[data-state]").textContent = text;
      };
      request.upload.addEventListener("progress", progress);
      request.addEventListener("abort", () => { row.state = "stopped"; });
      request.addEventListener("loadend", (event) => {
        request = null;
        if (row.state === "stopped") show(row, "stopped", words("stopped"));
        else answered(row, event.target);
        resolve();
      });
      show(row, "sending", words("sending"));
      request.send(body);
    });
  }

  let stopping = false;

  // One of the two is there, and who pressed one finds the focus on the other.
  function turn(sending) {
    const [shown, gone] = sending ? [stopButton, submit] : [submit, stopButton];
    const focused = document.activeElement === gone;
    shown.hidden = false;
    gone.hidden = true;
    if (focused) shown.focus();
  }

  async function publish() {
    stopping = false;
    turn(true);
    for (const row of rows) {
      if (row.state === "stopped" || (row.state === "failed" && !row.unfit)) show(row, "waiting", words("waiting"));
    }
    for (;;) {
      const row = rows.find((one) => one.state === "waiting");
      if (!row || stopping) break;
      await send(row);
    }
    for (const row of rows) {
      if (row.state === "waiting") show(row, "stopped", words("stopped"));
    }
    turn(false);
    tell();
  }

  field.addEventListener("change", () => {
    add(field.files);
    field.value = "";
  });

  // In the capturing phase, before the page marks the form as sent: it is used again.
  document.addEventListener("submit", (event) => {
    if (event.target !== form) return;
    if (rows.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (request === null) publish();
  }, true);

  stopButton.addEventListener("click", () => {
    stopping = true;
    request?.abort();
  });

  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    add(event.dataTransfer.files);
  });

  // Only while bytes move: what is only listed can be chosen again.
  window.addEventListener("beforeunload", (event) => {
    if (request !== null) event.preventDefault();
  });
})();
