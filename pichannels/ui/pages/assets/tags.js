// Tells the value below the pointer; the keyboard has the table below the drawing.

(() => {
  let known = "";
  let points = [];

  function pointsOf(ground) {
    if (ground.dataset.points !== known) {
      known = ground.dataset.points;
      points = JSON.parse(known);
    }
    return points;
  }

  document.addEventListener("pointermove", (event) => {
    const ground = event.target.closest?.(".trend .ground");
    for (const each of document.querySelectorAll(".trend .pointer")) each.hidden = true;
    if (!ground) return;
    const box = ground.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 100;
    const all = pointsOf(ground);
    if (!all.length) return;
    // A value holds until the next one.
    let [low, high] = [0, all.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (all[middle][0] <= at) low = middle;
      else high = middle - 1;
    }
    const [place, time, value] = all[low];
    const pointer = ground.querySelector(".pointer");
    const text = document.createElement("span");
    text.textContent = `${value} at ${time}`;
    pointer.replaceChildren(text);
    pointer.style.left = `${place}%`;
    pointer.classList.toggle("left", place > 60);
    pointer.hidden = false;
  });
})();
