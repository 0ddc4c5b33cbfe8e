"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const groups = [...document.querySelectorAll("details.group")];
  const texts = groups.map((group) => group.textContent.toLowerCase());
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    groups.forEach((group, at) => {
      group.hidden = !wanted.every((word) => texts[at].includes(word));
      if (!group.hidden) number += 1;
    });
    shown.textContent = wanted.length ? number + " of " + groups.length + " shown" : "";
  };
  const fold = (open) => groups.forEach((group) => { group.open = open; });
  words.addEventListener("input", filter);
  words.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { words.value = ""; filter(); }
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("unfold").addEventListener("click", () => fold(true));
  document.getElementById("fold").addEventListener("click", () => fold(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== words) { event.preventDefault(); words.focus(); }
  });
  form.hidden = false;
  filter();
})();
