// HTML that the server writes. A new one is merged into what is there, so that the
// focus, what is typed and what is selected stay. Clicks on [data-act] go to the server.

const KEEPS = new Set(["INPUT", "TEXTAREA", "SELECT"]);

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function isAlike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
}

function mergeAttributes(old, next) {
  for (const { name } of [...old.attributes]) {
    // What the browser or a script has opened stays open.
    const isKept = name === "open" || name === "data-shown";
    if (!next.hasAttribute(name) && !isKept) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function merge(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (old.isEqualNode(next)) return;
  mergeAttributes(old, next);
  if (KEEPS.has(old.nodeName) && old.nodeName !== "SELECT") return;
  mergeChildren(old, next);
}

function mergeChildren(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let place = parent.firstChild;
  for (const next of [...wanted.childNodes]) {
    const known = keyed.get(keyOf(next));
    if (known && known !== place && isAlike(known, next)) {
      parent.insertBefore(known, place);
      merge(known, next);
    } else if (place && isAlike(place, next)) {
      const old = place;
      place = place.nextSibling;
      merge(old, next);
    } else {
      parent.insertBefore(next, place);
    }
  }
  while (place) {
    const after = place.nextSibling;
    // It gives the focus back to what has opened it.
    if (place.nodeName === "DIALOG" && place.open) place.close();
    place.remove();
    place = after;
  }
}

function fieldsOf(place) {
  const form = place.closest("form, dialog, [data-fields]");
  const found = {};
  for (const field of form ? form.querySelectorAll("[name]") : []) {
    const isBox = field.type === "checkbox" || field.type === "radio";
    if (isBox && !field.checked) continue;
    const isMany = field.type === "checkbox" && field.value !== "on";
    if (isMany) (found[field.name] ??= []).push(field.value);
    else found[field.name] = isBox ? "on" : field.value;
  }
  return found;
}

// What was told and has not been taken yet. A connection that ends takes with it what is
// on its way, so that this is told once more by the next one.
const waiting = new Set();
let isFollowing = false;

function tellWaiting() {
  for (const place of waiting) place.tellAgain();
}

function follow() {
  if (isFollowing || !window.socket) return;
  isFollowing = true;
  window.socket.on("connect", tellWaiting);
}

export default {
  template: `<component :is="tag"></component>`,
  props: { html: String, tag: String },
  emits: ["act"],
  data() {
    return { shown: null };
  },
  created() {
    this.untaken = [];
    // Greater than all numbers before, also where this is made anew.
    this.number = Date.now();
  },
  mounted() {
    this.show();
    this.$el.addEventListener("click", this.clicked);
    this.$el.addEventListener("change", this.changed);
    this.$el.addEventListener("submit", this.submitted);
    this.$el.addEventListener("cancel", this.cancelled, true);
  },
  updated() {
    this.show();
  },
  unmounted() {
    waiting.delete(this);
  },
  methods: {
    show() {
      if (this.html === this.shown) return;
      this.shown = this.html;
      const wanted = document.createElement("template");
      wanted.innerHTML = this.html;
      mergeChildren(this.$el, wanted.content);
      for (const dialog of this.$el.querySelectorAll("dialog[data-modal]")) {
        if (!dialog.open) dialog.showModal();
      }
      window.pichannels?.refresh(this.$el);
    },
    tell(place) {
      follow();
      const act = { name: place.dataset.act, data: { ...place.dataset }, fields: fieldsOf(place) };
      this.number += 1;
      this.untaken.push({ number: this.number, ...act });
      waiting.add(this);
      // Without a connection all is told by the next one, in its order.
      const isAway = window.did_handshake && !window.socket.connected;
      if (!isAway) this.$emit("act", this.untaken.at(-1));
    },
    tellAgain() {
      for (const act of this.untaken) this.$emit("act", act);
    },
    taken(number) {
      this.untaken = this.untaken.filter((act) => act.number > number);
      if (!this.untaken.length) waiting.delete(this);
    },
    clicked(event) {
      const place = event.target.closest("[data-act]");
      if (!place || place.matches("form, select, input, textarea, :disabled")) return;
      if (place.getAttribute("aria-disabled") === "true") return;
      event.preventDefault();
      this.tell(place);
    },
    changed(event) {
      const place = event.target.closest("select[data-act], input[data-act], textarea[data-act]");
      if (place) this.tell(place);
    },
    submitted(event) {
      const place = event.target.closest("form[data-act]");
      if (!place) return;
      event.preventDefault();
      this.tell(place);
    },
    cancelled(event) {
      const place = event.target.querySelector("[data-cancel]");
      if (!place) return;
      event.preventDefault();
      this.tell(place);
    },
  },
};
