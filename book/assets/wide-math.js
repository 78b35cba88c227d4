// MathJax does not break formulas inside a line. One wider than its line gets a line of its own, which scrolls (book.css).
function markWideMath() {
  for (const formula of document.querySelectorAll("mjx-container:not([display])")) {
    formula.classList.remove("wide");
    const room = formula.parentElement.closest("p, li, dd, td, th, figcaption, div").clientWidth;
    formula.classList.toggle("wide", formula.getBoundingClientRect().width > room);
  }
}

// A table wider than its column scrolls in its own box (book.css). With the tab key it must be reached to be scrolled.
const reachable = new ResizeObserver((changed) => {
  for (const { target } of changed) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

window.addEventListener("load", () => {
  for (const table of document.querySelectorAll(".bd-article table")) reachable.observe(table);
});
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(markWideMath));
window.addEventListener("resize", markWideMath);
document.addEventListener("click", () => setTimeout(markWideMath, 50)); // a fold may have been opened
document.addEventListener("toggle", markWideMath, true); // or a link or a search opened it

// On paper nothing can be unfolded.
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".bd-article details:not([open])")) {
    fold.open = true;
    fold.dataset.closedAfterPrint = "";
  }
});
window.addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-closed-after-print]")) {
    fold.open = false;
    delete fold.dataset.closedAfterPrint;
  }
});
