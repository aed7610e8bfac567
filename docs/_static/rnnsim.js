"use strict";

// What scrolls by itself can be scrolled with the keys as well.
function reach() {
  for (const each of document.querySelectorAll(".bd-content table, .bd-content mjx-container")) {
    if (each.scrollWidth > each.clientWidth + 1) each.tabIndex = 0;
  }
}

// The arrows that open a part of the contents say so.
function name() {
  for (const each of document.querySelectorAll(".bd-sidebar-primary summary")) {
    each.setAttribute("aria-label", "Pages below it");
  }
}

addEventListener("DOMContentLoaded", name);
addEventListener("load", reach);
addEventListener("resize", reach);
