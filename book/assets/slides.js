// Starts reveal.js once the formulas are set, and shrinks what would not fit: a wide formula, a slide's text.
window.addEventListener("load", async () => {
  await MathJax.startup.promise;
  const wide = (box) => Math.max(box.scrollWidth, box.offsetWidth) > box.parentElement.clientWidth + 1;
  const high = (box) => box.scrollHeight > box.clientHeight + 1;
  const shrink = (box, tooBig, smallest) => {
    for (let size = parseFloat(getComputedStyle(box).fontSize); tooBig(box) && size > smallest; size -= 1) {
      box.style.fontSize = `${size}px`;
    }
  };
  const fit = ({currentSlide}) => {
    currentSlide.querySelectorAll('mjx-container[display="true"]').forEach((formula) => shrink(formula, wide, 15));
    shrink(currentSlide, high, 15);
  };
  Reveal.on("ready", fit);
  Reveal.on("slidechanged", fit);
  Reveal.initialize({width: 1280, height: 720, margin: 0, center: false, hash: true, slideNumber: "c/t",
                     transition: "none", controls: false});
});
