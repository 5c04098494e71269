// What works without the server: theme, time zone, keys, copying, logging out.

(() => {
  const YEAR = 31536000;

  function cookie(name) {
    const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
    return found ? found.slice(name.length + 1) : "";
  }

  function keep(name, value) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=strict${secure}`;
  }

  function isDark() {
    const kept = cookie("pichannels_theme");
    return kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function applyTheme() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  }

  applyTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);

  async function logOut() {
    const { csrf } = await (await fetch("/api/v1/session")).json();
    await fetch("/api/v1/session", { method: "DELETE", headers: { "x-csrf-token": csrf } });
    location.assign("/login");
  }

  // What is chosen beside a command, as its options.
  function chosenFlags(button) {
    const fields = button.closest("form")?.querySelectorAll("[data-flag]") ?? [];
    return [...fields].map(flagOf).join("");
  }

  function flagOf(field) {
    const flag = ` ${field.dataset.flag}`;
    if (field.type === "checkbox") return field.checked ? flag : "";
    if (!field.value) return "";
    const isPlain = /^[\w@%+=:,./-]+$/.test(field.value);
    return `${flag} ${isPlain ? field.value : `'${field.value.replaceAll("'", `'"'"'`)}'`}`;
  }

  async function copy(button) {
    const text = button.dataset.copy + chosenFlags(button);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS browsers have no clipboard for scripts; this way is older.
      const field = Object.assign(document.createElement("textarea"), { value: text });
      (button.closest("dialog") || document.body).append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      button.focus();
    }
    button.dataset.shown = "copied";
    setTimeout(() => delete button.dataset.shown, 2000);
  }

  function showKeys() {
    document.getElementById("keys")?.showModal();
  }

  function tickAll(box) {
    const table = box.closest("table");
    for (const each of table.querySelectorAll('input[name="selected"]')) each.checked = box.checked;
  }

  // A range is one that has a name, or one from … to …: what was chosen last.
  function agree(field) {
    const { range, start, end } = field.form.elements;
    if (field === range && range.value !== "own") start.value = end.value = "";
    else if (field === start || field === end) range.value = start.value || end.value ? "own" : range.value;
  }

  document.addEventListener("click", (event) => {
    const place = event.target.closest("[data-copy], [data-theme], [data-zone], [data-keys], [data-logout], [data-close]");
    if (!place || place === document.documentElement) return;
    if (place.dataset.copy !== undefined) copy(place);
    else if (place.dataset.zone) {
      keep("pichannels_zone", place.dataset.zone);
      location.reload();
    } else if (place.dataset.keys !== undefined) showKeys();
    else if (place.dataset.logout !== undefined) logOut();
    else if (place.dataset.close !== undefined) place.closest("dialog").close();
    else {
      keep("pichannels_theme", isDark() ? "light" : "dark");
      applyTheme();
    }
  });

  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.matches("input[data-all]")) tickAll(field);
    if (field.closest("form.filters")?.elements.range) agree(field);
  });

  // Keys: `/` searches, `g` and a letter goes to a page, `?` lists them.
  let waits = false;
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    if (document.querySelector("dialog[open]")) return;
    if (waits) {
      waits = false;
      const way = document.querySelector(`nav a[data-letter="${CSS.escape(event.key)}"]`);
      if (way) {
        event.preventDefault();
        way.click();
      }
      return;
    }
    if (event.key === "g") {
      waits = true;
      setTimeout(() => (waits = false), 3000);
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search")?.focus();
    } else if (event.key === "?") {
      event.preventDefault();
      showKeys();
    }
  });

  // Parts of pages that draw by themselves are told when they were written anew.
  const drawers = [];
  window.pichannels = {
    refresh(place) {
      for (const drawer of drawers) drawer(place);
    },
    onRefresh(drawer) {
      drawers.push(drawer);
    },
  };
})();

// Tells when the server of the pages does not answer, as all that is shown is old then.
// It is found again by itself; where it does not know the session any more, it asks who it is.
(() => {
  const PATIENCE = 2000;
  let since = 0;
  let isAsking = false;

  function strip() {
    const found = document.getElementById("away");
    if (found) return found;
    const made = Object.assign(document.createElement("div"), { id: "away" });
    made.setAttribute("role", "alert");
    document.body.append(made);
    return made;
  }

  function tell(text) {
    document.documentElement.toggleAttribute("data-away", Boolean(text));
    const place = strip();
    place.hidden = !text;
    if (place.textContent !== text) place.textContent = text;
  }

  async function ask() {
    isAsking = true;
    try {
      const answer = await fetch("/api/v1/session", { signal: AbortSignal.timeout(5000) });
      if (answer.status === 401) location.reload();
    } catch {
      // It does not answer yet.
    }
    isAsking = false;
  }

  setInterval(() => {
    if (!window.socket || window.socket.connected) {
      if (since) tell("");
      since = 0;
      return;
    }
    since ||= Date.now();
    if (Date.now() - since < PATIENCE) return;
    tell("✕ The pages do not answer: what is shown is old. They are tried again all the time.");
    if (!isAsking) ask();
  }, 1000);
})();
