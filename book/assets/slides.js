// Starts reveal.js once the formulas are set. Text, figures and wide formulas are as large as fits, within bounds.
window.addEventListener("load", async () => {
  await MathJax.startup.promise;
  const phone = window.innerWidth < 700;
  const [width, height] = phone ? [640, Math.round(640 * window.innerHeight / window.innerWidth)] : [1280, 720];
  document.documentElement.classList.toggle("phone", phone);
  document.documentElement.style.setProperty("--slide-height", `${height}px`);
  const wide = (box) => Math.max(box.scrollWidth, box.offsetWidth) > box.parentElement.clientWidth + 1;
  const high = (box) => {
    const last = [...box.children].filter((part) => part.tagName !== "ASIDE").at(-1);  // the notes are not seen
    return last.offsetTop + last.offsetHeight > box.clientHeight - parseFloat(getComputedStyle(box).paddingBottom);
  };
  const shrink = (box, tooBig, largest, smallest) => {
    for (let size = largest; size >= smallest; size -= 1) {
      box.style.fontSize = `${size}px`;
      if (!tooBig(box)) { return; }
    }
  };
  const formulas = (slide) => slide.querySelectorAll('mjx-container[display="true"]').forEach((formula) => {
    formula.style.fontSize = "";
    shrink(formula, wide, parseFloat(getComputedStyle(formula).fontSize), phone ? 8 : 15);
  });
  const fit = ({currentSlide}) => {
    const picture = currentSlide.querySelector("img");
    const full = (slide) => { formulas(slide); return high(slide) || slide.scrollWidth > slide.clientWidth + 1; };
    if (!picture) { shrink(currentSlide, full, 32, 15); }
    else {
      for (const [tall, largest, smallest] of [[470, 26, 22], [420, 22, 20], [380, 20, 15]]) {
        picture.style.maxHeight = `${tall}px`;
        shrink(currentSlide, full, largest, smallest);
        if (!full(currentSlide)) { break; }
      }
    }
  };
  Reveal.on("ready", fit);
  Reveal.on("slidechanged", fit);
  Reveal.initialize({width, height, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
                     controls: false, scrollActivationWidth: null, plugins: [RevealNotes]});
});
