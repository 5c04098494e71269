// Writes what moves into the drawing of the graph, and makes it larger and smaller.

(() => {
  const SIGNS = { waiting: "✓", processing: "▶", paused: "‖", stopped: "■", "not connected": "✕" };
  const LEAST = 0.8;
  const LONGEST = 10;
  let scale = 1;
  // The size of the drawing that was fitted; another drawing is fitted anew.
  let fitted = "";
  let told = 0;
  let wasHigh = 0;

  function put(place, text) {
    if (place && place.textContent !== text) place.textContent = text;
  }

  function writeBox(place, found) {
    const state = found.state || "";
    // What is too long for a box takes two lines.
    const [first, ...rest] = state.length > LONGEST ? state.split(" ") : [state];
    put(place.querySelector(".state"), state ? `${SIGNS[state] || "…"} ${first}` : "");
    put(place.querySelector(".rest"), rest.join(" "));
    put(place.querySelector(".line-of"), state ? "" : found.line || "");
    put(place.querySelector(".took"), state ? "" : found.took || "");
    const heat = place.querySelector(".heat");
    heat?.setAttribute("width", heat.dataset.whole * (found.share || 0));
    put(place.querySelector(".wrong"), found.wrong && !rest.length ? `✕ ${found.wrong}` : "");
    place.classList.toggle("is-wrong", Boolean(found.wrong));
    place.dataset.state = state;
  }

  function writeArrow(place, found) {
    put(place.querySelector(".rate"), found.rate || "");
    place.querySelector(".line").style.strokeWidth = found.wide || 1.5;
    const queue = place.querySelector(".queue");
    const hasQueue = found.queued !== undefined && found.full > 0;
    queue.setAttribute("visibility", hasQueue ? "visible" : "hidden");
    if (!hasQueue) return;
    const fill = queue.querySelector(".fill");
    fill.setAttribute("width", Math.max(2, 38 * found.full));
    fill.dataset.tone = found.full <= 0.6 ? "good" : found.full <= 0.85 ? "warn" : "bad";
    // Only so much fits between two boxes.
    const told = found.queued.length > 2 ? found.queued : `${found.queued} wait`;
    put(queue.querySelector("text"), told);
  }

  function write() {
    const text = document.getElementById("graph-values")?.textContent;
    const svg = document.querySelector("svg.graph");
    if (!text || !svg) return;
    const { boxes, arrows } = JSON.parse(text);
    for (const place of svg.querySelectorAll("[data-box]")) writeBox(place, boxes[place.dataset.box] || {});
    for (const place of svg.querySelectorAll("[data-arrow]")) writeArrow(place, arrows[place.dataset.arrow] || {});
    // Later, since who takes clicks may not listen yet.
    setTimeout(measure);
    if (fitted !== sizeOf(svg)) fit(svg, LEAST);
    else resize(svg);
    show(svg);
  }

  // Keeps in sight what was chosen, also where its panel leaves less room.
  function show(svg) {
    if (wasHigh === svg.parentElement.clientHeight) return;
    wasHigh = svg.parentElement.clientHeight;
    svg.querySelector(".box.chosen")?.scrollIntoView({ block: "nearest", inline: "center" });
  }

  function sizeOf(svg) {
    return `${svg.dataset.width} ${svg.dataset.height}`;
  }

  // The server breaks what is too wide, and has to know what is.
  function measure() {
    const canvas = document.querySelector(".canvas");
    const teller = document.getElementById("graph-width");
    if (!canvas || !teller || !window.did_handshake) return;
    const width = canvas.clientWidth;
    if (Math.abs(width - (told || teller.dataset.known)) < 40) return;
    told = width;
    teller.dataset.width = width;
    teller.click();
  }

  function resize(svg) {
    svg.style.width = `${svg.dataset.width * scale}px`;
    svg.style.height = "auto";
  }

  function fit(svg, least) {
    fitted = sizeOf(svg);
    const canvas = svg.parentElement;
    const high = Number.parseFloat(getComputedStyle(canvas).maxHeight) || canvas.clientHeight;
    const whole = Math.min((canvas.clientWidth - 4) / svg.dataset.width, (high - 4) / svg.dataset.height);
    scale = Math.max(least, Math.min(1, whole));
    resize(svg);
    wasHigh = 0;
    show(svg);
  }

  document.addEventListener("click", (event) => {
    const what = event.target.closest("[data-zoom]")?.dataset.zoom;
    const svg = document.querySelector("svg.graph");
    if (!what || !svg) return;
    if (what === "fit") return fit(svg, 0.1);
    scale = Math.max(0.1, Math.min(2, scale * (what === "in" ? 1.25 : 0.8)));
    resize(svg);
  });

  let resized = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => {
      fitted = "";
      write();
    }, 200);
  });

  window.pichannels.onRefresh(write);
})();
