// The laboratory: gradient descent on noisy labels, live in the reader's browser.
//
// Four parts, each using only those above it:
//   1. the engine    exact gradient descent through inner products (chapter 2), the same as helpers.engine.reduced in Python
//   2. the law       the limit law of chapter 3
//   3. the view      canvases
//   4. the controls  sliders, keys, the link that carries the settings
//
// Plain JavaScript, no library, nothing to fetch. A classic script, not a module: browsers refuse modules from disk.
(() => {
"use strict";

// ---------------------------------------------------------------------------------------------------- 1. the engine
// Matrices are Float64Arrays, row by row. Filters are rows, the m with sign +1 first. Column 0 belongs to the signal
// mu, column i to the noise patch of sample i. The noise has standard deviation 1.

/** A generator of random numbers for each pair of a seed and a stream's name (sfc32: counter, shifts and sums). */
function generator(seed, stream) {
  let name = 0x811c9dc5; // FNV-1a
  for (const letter of stream) name = Math.imul(name ^ letter.charCodeAt(0), 0x01000193);
  let a = name, b = seed | 0, c = Math.floor(seed / 2 ** 32) | 0, counter = 1, spare = NaN;
  const bits = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let k = 0; k < 20; k++) bits(); // until each bit of the seed has reached all bits of the state
  const uniform = () => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6) + 0.5) / 2 ** 53; // inside (0, 1)
  const normal = () => { // Box and Muller: two at a time
    if (spare === spare) { const kept = spare; spare = NaN; return kept; }
    const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const chi = (degrees) => { // root of a chi-square; Marsaglia and Tsang's gamma variables
    if (degrees === 1) return Math.abs(normal());
    const d = degrees / 2 - 1 / 3, scale = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = normal(), v = (1 + scale * x) ** 3;
      if (v > 0 && Math.log(uniform()) < x * x / 2 + d * (1 - v + Math.log(v))) return Math.sqrt(2 * d * v);
    }
  };
  return { uniform, normal, chi };
}

/** Lower triangular L (size, min(size, degrees)), L L' a Wishart matrix: the inner products of `size` normal vectors of
 * length `degrees`, without a vector of that length (Bartlett; chapter 2). */
function bartlett(size, degrees, normals, chis) {
  const rank = Math.min(size, degrees), factor = new Float64Array(size * rank);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < Math.min(i, rank); k++) factor[i * rank + k] = normals.normal();
    if (i < rank) factor[i * rank + i] = chis.chi(degrees - i);
  }
  return factor;
}

/** A B' for A (rows, inner) and B (columns, inner), added to `into`. */
function addProduct(into, a, b, inner) {
  const rows = inner ? a.length / inner : 0, columns = inner ? b.length / inner : 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a[i * inner + k] * b[j * inner + k];
      into[i * columns + j] += sum;
    }
  }
  return into;
}

/** Everything a run starts from. Settings: n samples, dimension d, m filters a sign, c = n SNR^2, flip rate tau, init =
 * size of the initial responses to noise, sigma_0 sqrt(d); h = step on the clock s; seed; tests = test draws. */
function drawStart({ n, d, m, c, tau, init, h, seed, tests }) {
  const size = n + 1, labels = generator(seed, "labels"), draws = generator(seed, "tests");
  const y = Float64Array.from({ length: n }, () => (labels.uniform() < 0.5 ? -1 : 1));
  const yObs = y.map((label) => (labels.uniform() < tau ? -label : label));
  // Coordinates of mu and the noise patches: the first axis points along mu, the others make the patches triangular.
  const along = generator(seed, "along the signal"), factor = new Float64Array(size * size);
  const across = bartlett(n, d - 1, generator(seed, "noise"), generator(seed, "noise lengths"));
  const rank = across.length / n;
  factor[0] = Math.sqrt(c * d / n);
  for (let i = 1; i < size; i++) {
    factor[i * size] = along.normal();
    for (let k = 0; k < rank; k++) factor[i * size + 1 + k] = across[(i - 1) * rank + k];
  }
  // Initial filters: normals in these coordinates, and a Wishart matrix in all the others.
  const weights = generator(seed, "weights"), std = init / Math.sqrt(d);
  const filters = Float64Array.from({ length: 2 * m * size }, () => std * weights.normal());
  const rest = bartlett(2 * m, d - size, weights, generator(seed, "weight lengths")).map((entry) => std * entry);
  const weightGram = addProduct(new Float64Array(4 * m * m), filters, filters, size);
  return {
    n, m, h, rate: h / d, y, yObs, // rate = eta / (n m), h = eta d / (n m)
    gram: addProduct(new Float64Array(size * size), factor, factor, size),
    responses: addProduct(new Float64Array(2 * m * size), filters, factor, size),
    weightGram: addProduct(weightGram, rest, rest, rest.length / (2 * m)),
    yTest: Float64Array.from({ length: tests }, () => (draws.uniform() < 0.5 ? -1 : 1)),
    normals: Float64Array.from({ length: 2 * m * tests }, () => draws.normal()),
  };
}

/** A run at step 0 of a start, drawn above or exported by Python (tests/laboratory.py). All its memory is taken here. */
function createRun(start) {
  const { n, m } = start, size = n + 1, tests = start.yTest.length;
  const run = {
    n, m, h: start.h, rate: start.rate, steps: 0,
    start: Float64Array.from(start.responses), responses: Float64Array.from(start.responses),
    coefficients: new Float64Array(2 * m * size), // of mu and the patches in each filter's change
    margins: new Float64Array(n), signal: new Float64Array(2), // y_obs f; f on the signal patch of y = +1 and of y = -1
    update: new Float64Array(size), active: new Int32Array(size), push: new Float64Array(n),
    outputs: new Float64Array(size), own: new Float64Array(n), reading: {},
    covariance: new Float64Array(4 * m * m), test: new Float64Array(tests), filter: new Float64Array(tests),
  };
  for (const name of ["gram", "weightGram", "y", "yObs", "yTest", "normals"]) {
    run[name] = Float64Array.from(start[name]);
  }
  computeMargins(run);
  return run;
}

/** The margins y_obs f of all samples, from the responses. */
function computeMargins(run) {
  const { n, m, responses, outputs, margins, signal, y, yObs } = run, size = n + 1;
  outputs.fill(0);
  let minus = 0;
  for (let row = 0; row < 2 * m; row++) {
    const sign = row < m ? 1 : -1, base = row * size;
    for (let k = 0; k < size; k++) if (responses[base + k] > 0) outputs[k] += sign * responses[base + k];
    if (responses[base] < 0) minus -= sign * responses[base];
  }
  signal[0] = outputs[0] / m;
  signal[1] = minus / m;
  for (let i = 0; i < n; i++) margins[i] = yObs[i] * (signal[y[i] > 0 ? 0 : 1] + outputs[i + 1] / m);
}

/** One step of full-batch gradient descent on the logistic loss: B += S K, C += S (chapter 2). relu'(0) = 0. */
function step(run) {
  const { n, m, rate, gram, responses, coefficients, update, active, push, margins, y, yObs } = run;
  const size = n + 1;
  let pushPlus = 0, pushMinus = 0; // what the samples of each class do to a filter that is active on their signal patch
  for (let i = 0; i < n; i++) {
    push[i] = rate * yObs[i] / (1 + Math.exp(margins[i]));
    if (y[i] > 0) pushPlus += push[i]; else pushMinus -= push[i];
  }
  for (let row = 0; row < 2 * m; row++) { // a filter's step depends on its own responses and on `push` alone
    const sign = row < m ? 1 : -1, base = row * size, onSignal = responses[base];
    update[0] = sign * (onSignal > 0 ? pushPlus : onSignal < 0 ? pushMinus : 0);
    for (let k = 1; k < size; k++) update[k] = responses[base + k] > 0 ? sign * push[k - 1] : 0;
    let count = 0;
    for (let k = 0; k < size; k++) {
      coefficients[base + k] += update[k];
      if (update[k] !== 0) active[count++] = k;
    }
    // Where all the time goes. Columns two by two: each response is then fetched and stored half as often.
    for (let pair = 0; pair < count; pair += 2) {
      const k = active[pair], other = pair + 1 < count ? active[pair + 1] : k;
      const one = update[k], two = other === k ? 0 : update[other];
      for (let l = 0, p = k * size, q = other * size; l < size; l++) {
        responses[base + l] += one * gram[p + l] + two * gram[q + l];
      }
    }
  }
  run.steps += 1;
  computeMargins(run);
}

/** What the page shows of a run now: means over clean and noisy samples, and test errors. Returns run.reading. Without
 * `fresh` the last error on new noise stays: it costs more than all the rest together. */
function read(run, fresh = true) {
  const { n, m, margins, coefficients, gram, y, yObs, own, signal, outputs, reading } = run, size = n + 1;
  let gamma = 0;
  own.fill(0); // rho of each sample, mean over the filters of its observed label's sign
  for (let row = 0; row < 2 * m; row++) {
    const sign = row < m ? 1 : -1, base = row * size;
    gamma += sign * coefficients[base] * gram[0] / (2 * m);
    for (let i = 0; i < n; i++) {
      if (yObs[i] === sign) own[i] += coefficients[base + i + 1] * gram[(i + 1) * (size + 1)] / m;
    }
  }
  const groups = [[0, 0, 0, 0], [0, 0, 0, 0]]; // clean, noisy: count, sums of margin and rho, fitted as labelled
  let reused = 0; // every training patch beside the signal of either true label
  for (let i = 0; i < n; i++) {
    const group = groups[y[i] === yObs[i] ? 0 : 1];
    group[0] += 1;
    group[1] += margins[i];
    group[2] += own[i];
    group[3] += margins[i] > 0 ? 1 : 0;
    reused += (signal[0] + outputs[i + 1] / m <= 0 ? 1 : 0) + (-(signal[1] + outputs[i + 1] / m) <= 0 ? 1 : 0);
  }
  const [clean, noisy] = groups;
  return Object.assign(reading, {
    gamma, clean: clean[0], noisy: noisy[0], cleanFitted: clean[3], noisyFitted: noisy[3],
    cleanMargin: clean[1] / clean[0], noisyMargin: noisy[1] / noisy[0], // NaN where there are none
    rhoClean: clean[2] / clean[0], rhoNoisy: noisy[2] / noisy[0],
    reusedError: reused / (2 * n), freshError: fresh ? freshError(run) : reading.freshError,
  });
}

/** Share of wrong answers on new noise, true labels: the responses to a new patch are normal with covariance W W'. */
function freshError(run) {
  const { m, yTest, normals, covariance, test, filter, signal } = run, rows = 2 * m, tests = yTest.length;
  filterCovariance(run);
  choleskyInPlace(covariance, rows);
  for (let t = 0; t < tests; t++) test[t] = m * signal[yTest[t] > 0 ? 0 : 1];
  for (let row = 0; row < rows; row++) {
    filter.fill(0);
    for (let k = 0; k <= row; k++) {
      const weight = covariance[row * rows + k], from = k * tests;
      for (let t = 0; t < tests; t++) filter[t] += weight * normals[from + t];
    }
    const sign = row < m ? 1 : -1;
    for (let t = 0; t < tests; t++) if (filter[t] > 0) test[t] += sign * filter[t];
  }
  let wrong = 0;
  for (let t = 0; t < tests; t++) wrong += yTest[t] * test[t] <= 0 ? 1 : 0;
  return wrong / tests;
}

/** Lower half of W W' = W(0) W(0)' + C B(0)' + B C', into run.covariance. */
function filterCovariance({ n, m, coefficients, start, responses, weightGram, covariance }) {
  const rows = 2 * m, size = n + 1;
  for (let a = 0; a < rows; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = weightGram[a * rows + b];
      for (let k = 0; k < size; k++) {
        sum += coefficients[a * size + k] * start[b * size + k] + responses[a * size + k] * coefficients[b * size + k];
      }
      covariance[a * rows + b] = sum;
    }
  }
}

/** The lower half of a covariance becomes its Cholesky factor. Directions without variance get a column of zeros. */
function choleskyInPlace(matrix, rows) {
  for (let k = 0; k < rows; k++) {
    let pivot = matrix[k * rows + k];
    const before = pivot;
    for (let l = 0; l < k; l++) pivot -= matrix[k * rows + l] ** 2;
    const root = pivot > 1e-13 * before ? Math.sqrt(pivot) : 0;
    matrix[k * rows + k] = root;
    for (let i = k + 1; i < rows; i++) {
      let sum = matrix[i * rows + k];
      for (let l = 0; l < k; l++) sum -= matrix[i * rows + l] * matrix[k * rows + l];
      matrix[i * rows + k] = root > 0 ? sum / root : 0;
    }
  }
}

// ------------------------------------------------------------------------------------------------------- 2. the law
// Margins u (clean) and v (noisy) of the limit law, equations (2) of helpers.theory.limit, over x = log(1 + s).

/** Slopes of u and v per unit of x. */
function lawSlopes(c, tau, x, [u, v]) {
  const a = c * (1 - tau), b = c * tau, half = Math.exp(x) / 2;
  const clean = 1 / (1 + Math.exp(u)), noisy = 1 / (1 + Math.exp(v));
  return [half * ((1 + a) * clean - b * noisy), half * ((1 + b) * noisy - a * clean)];
}

/** One step of the classical Runge-Kutta method, of width dx. */
function lawStep(c, tau, x, margins, dx) {
  const moved = (slopes, width) => margins.map((margin, i) => margin + width * slopes[i]);
  const k1 = lawSlopes(c, tau, x, margins), k2 = lawSlopes(c, tau, x + dx / 2, moved(k1, dx / 2));
  const k3 = lawSlopes(c, tau, x + dx / 2, moved(k2, dx / 2)), k4 = lawSlopes(c, tau, x + dx, moved(k3, dx));
  return margins.map((margin, i) => margin + dx / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]));
}

const LAW_STEP = 0.003; // in x; the fastest rate of the law in log time, about 4 c tau (1 - tau), is below 50 here

/** The law at increasing times: margins, signal response A, noise responses r_c and r_n, error on reused noise. */
function limitLaw(c, tau, times) {
  const names = ["cleanMargin", "noisyMargin", "signal", "rClean", "rNoisy", "reusedError"];
  const law = Object.fromEntries(names.map((name) => [name, new Float64Array(times.length)]));
  let x = 0, margins = [0, 0];
  times.forEach((time, t) => {
    const target = Math.log1p(time), count = Math.ceil((target - x) / LAW_STEP), dx = (target - x) / count;
    for (let k = 0; k < count; k++) margins = lawStep(c, tau, x + k * dx, margins, dx);
    x = target;
    const [u, v] = margins, signal = c * ((1 - tau) * u - tau * v) / (1 + c); // the first integral
    const error = tau / 2 * (v > 0) + (1 - tau) / 2 * (u > 2 * signal); // r_n > A; r_c > A
    [u, v, signal, u - signal, v + signal, error].forEach((value, i) => { law[names[i]][t] = value; });
  });
  return law;
}

/** Whether there is a Stage I, when the noisy margin is back at 0 (0 without a Stage I), and the late gap log kappa. */
function lawNumbers(c, tau) {
  const stageOne = c * (1 - 2 * tau) > 1, kappa = (1 + 2 * c * (1 - tau)) / (1 + 2 * c * tau);
  let x = 0, margins = [0, 0], memorisation = 0;
  if (stageOne) {
    for (let next = margins; next[1] <= 0 && x < 60;) {
      margins = next;
      next = lawStep(c, tau, x, margins, LAW_STEP);
      x += LAW_STEP;
    }
    let low = 0, high = LAW_STEP;
    for (let k = 0; k < 50; k++) {
      const middle = (low + high) / 2;
      if (lawStep(c, tau, x - LAW_STEP, margins, middle)[1] > 0) high = middle; else low = middle;
    }
    memorisation = Math.expm1(x - LAW_STEP + low);
  }
  return { stageOne, kappa, gap: Math.log(kappa), memorisation };
}

// ------------------------------------------------------------------------------------------------------ 3. the view

const END = 300, POINTS = 400; // the last s on the axis, and how many times are kept of a run
const place = (s) => Math.log1p(s) / Math.log1p(END); // on the time axis, 0 to 1
const TIMES = Float64Array.from({ length: POINTS }, (_, k) => Math.expm1(Math.log1p(END) * k / (POINTS - 1)));
const TIME_TICKS = [0, 0.3, 1, 3, 10, 30, 100, 300];
const GAP = 1 / (POINTS - 1); // between two of them on the time axis
const DOTS = [1, 3], DASHES = [7, 4], DASH_DOT = [7, 3, 2, 3];
const nearest = (s) => Math.min(Math.round(place(s) / GAP), POINTS - 1); // which of TIMES
const loss = (margin) => Math.max(-margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)));
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

/** What is kept of a run, at up to POINTS times evenly spread over the time axis. */
function createHistory(n) {
  const names = ["s", "gamma", "rhoClean", "rhoNoisy", "reusedError"];
  const history = Object.fromEntries(names.map((name) => [name, new Float64Array(POINTS)]));
  return Object.assign(history, { n, count: 0, margins: new Float64Array(POINTS * n), freshTimes: [], freshError: [] });
}

/** Keep the run's reading, unless the last one kept is too near. */
function remember(history, run) {
  const k = history.count, s = run.steps * run.h;
  if (k === POINTS || (k && place(s) - place(history.s[k - 1]) < GAP)) return;
  const reading = read(run, false);
  history.s[k] = s;
  for (const name of ["gamma", "rhoClean", "rhoNoisy", "reusedError"]) history[name][k] = reading[name];
  history.margins.set(run.margins, k * history.n);
  history.count += 1;
}

/** The same for the error on new noise, which is not computed at every step. */
function rememberFresh({ freshTimes, freshError }, run) {
  const s = run.steps * run.h;
  read(run);
  if (freshTimes.length && place(s) - place(freshTimes.at(-1)) < GAP) return;
  freshTimes.push(s);
  freshError.push(run.reading.freshError);
}

/** Where the run stands, by its own samples: the law may say otherwise. */
function stageOf({ steps, reading: { clean, noisy, cleanFitted, noisyFitted } }) {
  if (steps === 0) return "not yet trained";
  if (noisy === 0) return cleanFitted === clean ? "every label fitted" : "some labels rejected";
  if (noisyFitted === noisy) {
    return cleanFitted === clean ? "every label fitted, the noisy ones memorised" : "every noisy label memorised";
  }
  if (noisyFitted > 0) return noisyFitted < noisy / 2 ? "most noisy labels rejected" : "most noisy labels memorised";
  return cleanFitted === clean ? "Stage I: every clean label fitted, every noisy one rejected" :
    "every noisy label rejected";
}

/** Round numbers between low and high, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const width = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const first = Math.ceil(low / width - 1e-9), last = Math.floor(high / width + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => (first + k) * width);
}

/** A canvas with a coordinate system: x from 0 to 1, y from low to high; `pad` letters are kept free left and right. */
class Panel {
  constructor(canvas, paint, pad) {
    Object.assign(this, { canvas, paint, pad, pen: canvas.getContext("2d"), low: 0, high: 1, layers: {} });
    this.resize();
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    this.font = parseFloat(getComputedStyle(this.canvas).fontSize);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    Object.assign(this, { left: 3.2 * this.font, right: this.width - 1.2 * this.font });
    Object.assign(this, { top: 2 * this.font, bottom: this.height - 2.9 * this.font });
  }

  x(fraction) {
    const pad = this.pad * this.font;
    return this.left + pad + fraction * (this.right - this.left - 2 * pad);
  }
  y(value) { return this.bottom - (value - this.low) / (this.high - this.low) * (this.bottom - this.top); }

  /** Words with a rim of background, to be read where curves pass. */
  text(words, x, y, { muted, background, family }, align = "left") {
    Object.assign(this.pen, { fillStyle: muted, strokeStyle: background, lineWidth: 3, lineJoin: "round" });
    Object.assign(this.pen, { textAlign: align, font: `${this.font}px ${family}` });
    this.pen.setLineDash([]);
    this.pen.strokeText(words, x, y);
    this.pen.fillText(words, x, y);
  }

  line(x1, y1, x2, y2, color, dash = [], width = 1) {
    Object.assign(this.pen, { strokeStyle: color, lineWidth: width });
    this.pen.setLineDash(dash);
    this.pen.beginPath();
    this.pen.moveTo(x1, y1);
    this.pen.lineTo(x2, y2);
    this.pen.stroke();
  }

  /** The first `count` points (place(times), values) joined, within the panel. */
  curve(times, values, count, color, dash = [], width = 2) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle: color, lineWidth: width * this.font / 13, lineJoin: "round" });
    pen.setLineDash(dash.map((length) => length * this.font / 13));
    pen.lineCap = dash === DOTS ? "round" : "butt";
    pen.save();
    pen.beginPath();
    pen.rect(this.left, this.top, this.right - this.left, this.bottom - this.top);
    pen.clip();
    pen.beginPath();
    for (let k = 0; k < count; k++) pen.lineTo(this.x(place(times[k])), this.y(values[k]));
    pen.stroke();
    pen.restore();
    pen.setLineDash([]);
  }

  /** Paint by way of a canvas that is kept until the scale or one of `depends` changes: paint(drawn) is called where
   * less than `all` of the picture is there, to add what is missing. Dotted curves are dear to draw anew each frame. */
  layer(name, depends, paint, all = 1) {
    const state = [this.canvas.width, this.canvas.height, this.low, this.high, ...depends], front = this.pen;
    let layer = this.layers[name];
    if (!layer || state.some((one, k) => one !== layer.state[k])) {
      const canvas = layer?.canvas ?? document.createElement("canvas");
      Object.assign(canvas, { width: this.canvas.width, height: this.canvas.height }); // this empties it
      layer = this.layers[name] = { canvas, state, drawn: 0 };
    }
    if (layer.drawn < all) {
      this.pen = layer.canvas.getContext("2d");
      this.pen.setTransform(front.getTransform());
      paint(layer.drawn);
      layer.drawn = all;
      this.pen = front;
    }
    if (!layer.canvas.width || !layer.canvas.height) return;
    front.save();
    front.resetTransform();
    front.drawImage(layer.canvas, 0, 0);
    front.restore();
  }

  /** Empty the panel, and draw grid and axes: below, pairs of a fraction and words; at the side, numbers. */
  axes(colors, name, label, below, side, words = (value) => String(Number(value.toPrecision(6)))) {
    const { font, left, right, top, bottom } = this;
    this.pen.clearRect(0, 0, this.width, this.height);
    this.layer("axes", [colors], () => {
      for (const value of side) {
        this.line(left, this.y(value), right, this.y(value), colors.grid);
        this.text(words(value), left - 0.4 * font, this.y(value) + 0.35 * font, colors, "right");
      }
      for (const [fraction, mark] of below) {
        this.line(this.x(fraction), top, this.x(fraction), bottom, colors.grid);
        this.text(mark, this.x(fraction), bottom + 1.2 * font, colors, "center");
      }
      this.line(left, bottom, right, bottom, colors.muted);
      this.text(label, right, bottom + 2.4 * font, colors, "right");
      this.text(name, 0.3 * font, font, colors);
    });
  }

  timeAxis(colors, name, side, words) {
    const marks = TIME_TICKS.filter((s, k) => this.width > 30 * this.font || k % 2 === 0);
    this.axes(colors, name, "rescaled time s", marks.map((s) => [place(s), String(s)]), side, words);
  }

  /** The sign of a sample: a disc for a clean one, a larger diamond for a noisy one. */
  sign(x, y, noisy, colors) {
    const { pen } = this, size = this.font * (noisy ? 0.4 : 0.23);
    pen.fillStyle = noisy ? colors.noisy : colors.clean;
    Object.assign(pen, { strokeStyle: colors.background, lineWidth: 0.6 });
    pen.beginPath();
    if (noisy) {
      for (const [right, down] of CORNERS) pen.lineTo(x + right * size, y + down * size);
      pen.closePath();
    } else pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

const CORNERS = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // of a diamond

/** The margins of all samples, riding along the law, each with its trail. */
function paintMargins(panel, { run, history, law, numbers, showLaw, colors, jitter, settings }) {
  const { font, left, right, bottom } = panel, now = panel.x(Math.min(place(run.steps * run.h), 1)), zero = panel.y(0);
  panel.timeAxis(colors, "margin", ticks(panel.low, panel.high, 6));
  panel.layer("trails", [history, colors], (drawn) => paintTrails(panel, history, run, colors, drawn), history.count);
  panel.layer("law", [law, showLaw, colors], () => {
    panel.pen.globalAlpha = 0.07;
    panel.pen.fillStyle = colors.noisy;
    panel.pen.fillRect(left, zero, right - left, bottom - zero);
    panel.pen.globalAlpha = 1;
    panel.line(left, zero, right, zero, colors.neutral, DASHES, 1.5);
    const wide = panel.width > 40 * font;
    const [above, below] = wide ? ["fitted as labelled: loss below log 2", "label rejected: loss above log 2"] :
      ["fitted", "rejected"];
    panel.text(above, right - 0.3 * font, zero - 0.5 * font, colors, "right");
    panel.text(below, right - 0.3 * font, zero + 1.2 * font, colors, "right");
    if (!showLaw) return;
    panel.curve(TIMES, law.cleanMargin, POINTS, colors.theory, DOTS);
    if (settings.tau === 0) return; // no sample follows the other one
    panel.curve(TIMES, law.noisyMargin, POINTS, colors.theory, DOTS);
    if (numbers.memorisation > 0.005 && numbers.memorisation < END) {
      const at = panel.x(place(numbers.memorisation));
      panel.line(at, zero, at, bottom, colors.theory, DOTS, 1);
      panel.text("law: memorisation", at + 0.4 * font, bottom - 0.5 * font, colors);
    }
  });
  panel.line(now, panel.top, now, bottom, colors.neutral);
  panel.pen.globalAlpha = 0.9;
  for (const noisy of [false, true]) { // noisy samples on top
    for (let i = 0; i < run.n; i++) {
      if ((run.y[i] !== run.yObs[i]) !== noisy) continue;
      panel.sign(now + jitter[i] * font, panel.y(run.margins[i]), noisy, colors);
    }
  }
  panel.pen.globalAlpha = 1;
}

/** The pieces of the samples' trails from the kept time `drawn` on. */
function paintTrails(panel, { n, s, margins, count }, { y, yObs, reading }, colors, drawn) {
  const { pen } = panel;
  for (let k = Math.max(drawn, 1); k < count; k++) {
    const from = panel.x(place(s[k - 1])), to = panel.x(place(s[k]));
    for (const noisy of [false, true]) {
      const faint = Math.min(0.6, noisy ? 0.2 + 5 / reading.noisy : 20 / reading.clean); // many lie on one another
      Object.assign(pen, { strokeStyle: noisy ? colors.noisy : colors.clean, globalAlpha: faint });
      pen.beginPath();
      for (let i = 0; i < n; i++) {
        if ((y[i] !== yObs[i]) !== noisy) continue;
        pen.moveTo(from, panel.y(margins[(k - 1) * n + i]));
        pen.lineTo(to, panel.y(margins[k * n + i]));
      }
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}

const BINS = 60, LOSS_FROM = -5, LOSS_TO = 1; // powers of ten; what lies beyond is counted at the edge
const lossPlace = (value) => Math.min(Math.max((Math.log10(value) - LOSS_FROM) / (LOSS_TO - LOSS_FROM), 0), 0.9999);
const counts = [new Float64Array(BINS), new Float64Array(BINS)];

/** Histograms of the losses on a logarithmic axis: clean samples upward, noisy ones downward, as shares of a group. */
function paintLosses(panel, { run, law, showLaw, colors, settings }) {
  const { pen, font } = panel, { reading } = run;
  for (const group of counts) group.fill(0);
  for (let i = 0; i < run.n; i++) {
    const noisy = run.y[i] !== run.yObs[i] ? 1 : 0, bin = Math.floor(BINS * lossPlace(loss(run.margins[i])));
    counts[noisy][bin] += 1 / (noisy ? reading.noisy : reading.clean);
  }
  const peak = Math.max(...counts[0], ...counts[1]), fits = (high) => peak <= high;
  if (!fits(panel.high) || peak < 0.45 * panel.high) panel.high = [0.2, 0.4, 0.6, 0.8, 1.02].find(fits); // no flicker
  panel.low = -panel.high;
  const marks = [-4, -3, -2, -1, 0, 1].map((power) => [lossPlace(10 ** power), String(10 ** power)]);
  panel.axes(colors, "share", "loss of a sample", marks, ticks(panel.low, panel.high, 4),
    (share) => percent(Math.abs(share), 0));
  const width = (panel.right - panel.left) / BINS, middle = panel.y(0);
  counts.forEach((shares, noisy) => {
    pen.fillStyle = noisy ? colors.noisy : colors.clean;
    for (let k = 0; k < BINS; k++) {
      const height = middle - panel.y(shares[k]);
      pen.fillRect(panel.left + k * width + 0.5, noisy ? middle : middle - height, width - 1, height);
    }
  });
  panel.line(panel.left, middle, panel.right, middle, colors.muted);
  const threshold = panel.x(lossPlace(Math.LN2));
  panel.line(threshold, panel.top, threshold, panel.bottom, colors.neutral, DASHES, 1.5);
  panel.text("log 2", threshold, panel.top - 0.4 * font, colors, "center");
  if (!showLaw) return;
  const at = nearest(run.steps * run.h), ends = [[law.cleanMargin, panel.top], [law.noisyMargin, panel.bottom]];
  for (const [margins, end] of ends.slice(0, settings.tau > 0 ? 2 : 1)) {
    const x = panel.x(lossPlace(loss(margins[at])));
    panel.line(x, middle, x, end, colors.theory, DOTS, 2);
  }
}

/** gamma and rho, means over filters and samples, with A, r_c and r_n of the law. */
function paintCoefficients(panel, { run, history, law, showLaw, colors, settings }) {
  const { s, count, gamma, rhoClean, rhoNoisy } = history;
  const lawful = ["signal", "rClean", "rNoisy"].slice(0, settings.tau > 0 ? 3 : 2);
  const ends = [gamma, rhoClean, rhoNoisy].map((values) => values[count - 1] || 0); // NaN where nothing was flipped
  const most = Math.max(...ends, ...(showLaw ? lawful.map((name) => law[name][POINTS - 1]) : []));
  if (1.08 * most > panel.high) panel.high = showLaw ? 1.08 * most : 1.5 * most;
  panel.timeAxis(colors, "coefficient", ticks(0, panel.high, 4));
  panel.curve(s, rhoClean, count, colors.clean);
  panel.curve(s, rhoNoisy, count, colors.noisy, DASHES);
  panel.curve(s, gamma, count, colors.signal, [], 3);
  if (showLaw) {
    panel.layer("law", [law, colors], () => {
      for (const name of lawful) panel.curve(TIMES, law[name], POINTS, colors.theory, DOTS, 1.6);
    });
  }
  const now = panel.x(place(s[count - 1]));
  panel.sign(now, panel.y(ends[1]), false, colors);
  if (run.reading.noisy) panel.sign(now, panel.y(ends[2]), true, colors);
}

/** Errors on true labels over time. */
function paintErrors(panel, { history, law, showLaw, colors, settings }) {
  const { s, count, reusedError, freshTimes, freshError } = history, half = settings.tau / 2;
  let most = Math.max(half, showLaw ? law.reusedError[POINTS - 1] : 0);
  // Of the first moments, when all is a guess, only the fall is drawn.
  for (let k = 0; k < count; k++) if (s[k] >= 0.5) most = Math.max(most, reusedError[k]);
  freshError.forEach((error, k) => { if (freshTimes[k] >= 0.5) most = Math.max(most, error); });
  panel.high = [0.05, 0.1, 0.2, 0.3, 0.4, 0.6].find((high) => high >= 1.15 * most) ?? 1;
  panel.low = -0.03 * panel.high;
  panel.timeAxis(colors, "error", ticks(0, panel.high, 4), (value) => percent(value, 0));
  panel.layer("law", [law, showLaw, colors], () => {
    if (half > 0) {
      panel.line(panel.left, panel.y(half), panel.right, panel.y(half), colors.neutral, DASHES);
      panel.text("half the flip rate", panel.x(place(1)), panel.y(half) - 0.4 * panel.font, colors);
    }
    if (showLaw) panel.curve(TIMES, law.reusedError, POINTS, colors.theory, DOTS, 1.6);
  });
  panel.curve(s, reusedError, count, colors.memorisation, DASH_DOT, 2.5);
  panel.curve(freshTimes, freshError, freshTimes.length, colors.test, [], 2.5);
}

/** Wilson's 95% interval of a share that was counted in `size` draws. */
function shareInterval(share, size) {
  const z = 1.96, middle = share + z * z / (2 * size);
  const half = z * Math.sqrt(share * (1 - share) / size + (z / size) ** 2 / 4);
  return [middle - half, middle + half].map((end) => Math.min(Math.max(end / (1 + z * z / size), 0), 1));
}

// -------------------------------------------------------------------------------------------------- 4. the controls

const COLORS = ["clean", "noisy", "signal", "memorisation", "test", "theory", "neutral", "grid", "muted", "background"];
const TESTS = 1000, FRAME = 6; // test draws; milliseconds of a frame that may be spent on the engine
const PACE = 0.25, EARLY = 3; // log(1 + s / EARLY) grows by PACE a second at speed 1: slow at first, then ever faster

/** Bring the laboratory in `root` to life: what the page holds, and what may be done with it. */
function start(root) {
  const find = (selector) => root.querySelector(selector);
  const inputs = [...root.querySelectorAll("[name]")];
  const input = Object.fromEntries(inputs.map((control) => [control.name, control]));
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const app = { settings: {}, playing: !still, showLaw: true, visible: true, dirty: true, panels: [], pace: 1 };
  let last = 0, clock = 0, asked = false, stale = true, told = "", spoken = -Infinity;
  let freshAt = 0, freshCost = 0; // when the error on new noise was last computed, and how long it took
  let owed = 0, done = 0; // what the clock should have gone in the last second or so, and what it went

  // A slider stands for its own number, or for one in its list (data-values).
  const listOf = (control) => control.dataset.values?.split(" ").map(Number);
  function valueOf(control) {
    if (control.type === "checkbox") return Number(control.checked);
    if (control.type === "number") return Math.min(Math.floor(Math.abs(control.value)) || 0, control.max);
    return listOf(control)?.[control.value] ?? Number(control.value);
  }
  function setValue(control, value) {
    const list = listOf(control);
    if (control.type === "checkbox") control.checked = value !== 0;
    else if (list) control.value = list.reduce((best, one, k) => (Math.abs(Math.log(one / value)) <
      Math.abs(Math.log(list[best] / value)) ? k : best), 0);
    else control.value = Math.min(Math.max(control.step === "1" ? Math.floor(value) : value, control.min), control.max);
  }
  const words = {
    dn: (value) => (value < 1e4 ? String(value) : `10${"⁰¹²³⁴⁵⁶⁷⁸⁹"[Math.round(Math.log10(value))]}`),
    tau: (value) => value.toFixed(2), speed: (value) => `${value}×`,
  };

  /** Take the settings from the controls, and show their numbers beside them. */
  function readControls() {
    for (const control of inputs) {
      const { name } = control, value = valueOf(control);
      app.settings[name] = value;
      const label = (words[name] ?? String)(value), output = find(`output[for="lab-${name}"]`);
      if (output) output.textContent = label;
      const spoken = name === "dn" && value >= 1e4 ? `10 to the ${Math.log10(value)}` : label;
      if (control.type === "range") control.setAttribute("aria-valuetext", spoken);
    }
    app.showLaw = app.settings.law === 1;
  }

  /** A new run from the settings. */
  function restart() {
    const { n, dn, m, c, tau, init, h, seed } = app.settings, jitter = generator(seed, "jitter");
    app.run = createRun(drawStart({ n, d: Math.round(dn * n), m, c, tau, init, h, seed, tests: TESTS }));
    app.law = limitLaw(c, tau, TIMES);
    app.numbers = lawNumbers(c, tau);
    app.history = createHistory(n);
    app.jitter = Float64Array.from({ length: n }, () => 2 * (jitter.uniform() - 0.5));
    app.panels[2].high = 0.3;
    app.panels[0].low = (tau > 0 ? 1.3 * Math.min(...app.law.noisyMargin) : 0) - 0.6;
    app.panels[0].high = 1.15 * app.law.cleanMargin[POINTS - 1] + 0.5;
    Object.assign(app, { dirty: false, finished: false, pace: 1 });
    clock = owed = done = 0;
    told = "";
    stale = true;
    remember(app.history, app.run);
    measureFresh();
  }

  function advance() {
    const { run } = app;
    step(run);
    remember(app.history, run);
    app.finished = run.steps * run.h >= END - run.h / 2;
  }

  /** As many steps as the clock asks for and a frame has time for. */
  function advanceUntil(now, deadline) {
    const { run } = app, before = clock, passed = PACE * app.settings.speed / 1000;
    clock += Math.min(now - last, 50) * passed;
    const target = EARLY * Math.expm1(clock);
    while (!app.finished && (run.steps + 1) * run.h <= target) { // one at least, however slow the machine
      advance();
      if (performance.now() > deadline) break;
    }
    clock = Math.min(clock, Math.log1p((run.steps + 1) * run.h / EARLY)); // what there was no time for is not owed
    owed += Math.min(now - last, 250) * passed;
    done += clock - before;
    if (owed > 1000 * passed) { // a second's worth
      app.pace = done / owed;
      owed = done = 0;
    }
    if (app.finished) setPlaying(false);
  }

  function measureFresh() {
    const begin = performance.now();
    rememberFresh(app.history, app.run);
    freshAt = performance.now();
    freshCost = freshAt - begin;
  }

  function draw() {
    const { run } = app, margins = app.panels[0];
    read(run, false);
    const low = Math.min(...run.margins), high = Math.max(...run.margins);
    if (low < margins.low) margins.low = 1.2 * low;
    if (high > margins.high) margins.high = 1.15 * high;
    for (const panel of app.panels) panel.paint(panel, app);
    showNumbers();
  }

  function frame(now) {
    const begin = performance.now(), due = begin - freshAt > 5 * freshCost; // a fifth of the time may go there
    asked = false;
    if (app.dirty) restart();
    const before = app.run.steps;
    if (app.playing && app.visible) advanceUntil(now, begin + FRAME - (due ? freshCost : 0));
    last = now;
    if (stale || app.run.steps !== before) {
      if (due || !app.playing) measureFresh();
      draw();
      stale = false;
    }
    speak();
    if (app.playing && app.visible) ask();
  }
  function ask() {
    if (!asked) requestAnimationFrame(frame);
    asked = true;
  }
  /** Something changed: draw at the next frame, though no step is taken. */
  function wake() {
    stale = true;
    ask();
  }

  function showNumbers() {
    const { run } = app, { reading } = run, of = (part, whole) => (whole ? `${part} / ${whole}` : "none");
    find("[data-do=play]").textContent = app.playing ? "Pause" : app.finished ? "Again" : "Play";
    const slow = app.playing && app.pace < 0.9 ? `, at ${(app.pace * app.settings.speed).toPrecision(2)}×` : "";
    const tiles = {
      time: (run.steps * run.h).toFixed(2), steps: `${run.steps} steps${slow}`, stage: stageOf(run),
      clean: of(reading.cleanFitted, reading.clean), noisy: of(reading.noisyFitted, reading.noisy),
      fresh: percent(reading.freshError), reused: percent(reading.reusedError),
      between: `95%: ${shareInterval(reading.freshError, TESTS).map((end) => percent(end)).join(" to ")}`,
    };
    for (const name in tiles) {
      const tile = find(`[data-tile="${name}"]`);
      if (tile.textContent !== tiles[name]) tile.textContent = tiles[name];
    }
  }

  /** The state in words, for those who cannot see the canvases. Summary and names of the canvases are kept up to date,
   * to be read when wanted; read aloud are only a new stage, and where a paused run stands. */
  function speak() {
    const { run, law, numbers, settings } = app, { reading } = run, s = run.steps * run.h, now = stageOf(run);
    const mode = app.finished ? "Finished" : app.playing ? "Running" : "Paused";
    const number = (value) => (Math.round(100 * value) / 100 || 0).toFixed(2); // no -0.00
    const state = `${mode} at s = ${number(s)}, step ${run.steps}`, heard = [mode, now, app.playing ? "" : s].join();
    if (performance.now() - spoken < 2000 && (app.playing || heard === told)) return;
    if (heard !== told) find(".lab-voice").textContent = `${state}: ${now}.`;
    told = heard;
    spoken = performance.now();
    const k = nearest(s);
    const group = (fitted, all, margin, lawful) => (all ? `${fitted} of ${all} fitted as labelled, mean margin ` +
      `${number(margin)} (law ${number(lawful[k])}).` : "none.");
    const clean = group(reading.cleanFitted, reading.clean, reading.cleanMargin, law.cleanMargin);
    const noisy = group(reading.noisyFitted, reading.noisy, reading.noisyMargin, law.noisyMargin);
    const margins = `Clean samples: ${clean} Noisy samples: ${noisy}`;
    const coefficients = `Mean gamma ${number(reading.gamma)}, rho of clean samples ${number(reading.rhoClean)}, ` +
      `of noisy samples ${reading.noisy ? number(reading.rhoNoisy) : "none"}.`;
    const errors = `Error on true labels: ${percent(reading.freshError)} on new noise, ` +
      `${percent(reading.reusedError)} on reused noise.`;
    const plan = !app.showLaw || settings.tau === 0 ? "" : numbers.memorisation > 0.005 ?
      ` The law has a Stage I and memorises at s = ${number(numbers.memorisation)}.` : " The law has no Stage I here.";
    const said = [margins, margins, coefficients, errors];
    app.panels.forEach(({ canvas }, i) => canvas.setAttribute("aria-label", `${canvas.dataset.name}. ${said[i]}`));
    const given = `n = ${settings.n}, c = ${settings.c}, τ = ${settings.tau}, d/n = ${words.dn(settings.dn)}, ` +
      `m = ${settings.m}, seed ${settings.seed}`;
    find(".lab-summary").textContent = `${state}: ${now}. ${margins} ${coefficients} ${errors}${plan} (${given}.)`;
  }

  /** A message below the buttons: seen, and read aloud. */
  function say(message) {
    find(".lab-said").textContent = message;
    find(".lab-link").hidden = true;
  }

  // What can be done.
  function setPlaying(playing) {
    if (playing && app.finished) app.dirty = true;
    app.playing = playing;
    last = performance.now();
    wake();
  }
  const actions = {
    play: () => setPlaying(!app.playing),
    step: (times = 1) => {
      setPlaying(false);
      if (app.dirty) restart(); // a control moved since the last frame: the step belongs to the new run
      for (let k = 0; k < times && !app.finished; k++) advance();
      clock = Math.log1p(app.run.steps * app.run.h / EARLY);
    },
    reset: () => { app.dirty = true; setPlaying(app.playing); },
    seed: () => { input.seed.value = (app.settings.seed + 1) % 2 ** 32; changed(input.seed); keep(); },
    law: () => { input.law.checked = !input.law.checked; changed(input.law); keep(); },
    speed: (by) => { input.speed.value = Number(input.speed.value) + by; changed(input.speed); keep(); },
    full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()),
    link: async () => {
      keep();
      const field = find(".lab-link");
      field.value = location.href;
      try {
        await navigator.clipboard.writeText(field.value);
        say("Copied.");
      } catch { // not allowed here, or not known to this browser
        say("The browser does not let the page copy. Here is the link:");
        field.hidden = false;
        field.select();
      }
    },
  };

  function changed(control) {
    readControls();
    say("");
    told = "";
    if (!["speed", "law", "keys"].includes(control.name)) app.dirty = true;
    wake();
  }

  // The link: #c=8&tau=0.1&... Written when a control is let go, read when the page opens and when the link changes.
  function keep() {
    const carried = inputs.filter(({ name }) => name !== "keys");
    const query = carried.map(({ name }) => `${name}=${app.settings[name]}`).join("&");
    try { history.replaceState(null, "", `#${query}`); } catch { location.hash = query; }
  }
  function load(hash) {
    const query = new URLSearchParams(hash.slice(1));
    const pairs = [...query].filter(([, value]) => value !== ""); // nothing of #keys, a heading
    const given = pairs.filter(([name, value]) => Object.hasOwn(input, name) && isFinite(value));
    for (const [name, value] of given) setValue(input[name], Number(value));
    readControls();
    const refused = pairs.filter(([name, value]) => app.settings[name] !== Number(value)).map(([name, value]) =>
      `${name} = ${value}`.slice(0, 30) + (Object.hasOwn(input, name) ? ` (taken: ${app.settings[name]})` : ""));
    const more = refused.length > 5 ? `, and ${refused.length - 5} more` : "";
    const told = refused.slice(0, 5).join(", ") + more;
    say(refused.length ? `The link asks for what the sliders do not have: ${told}.` : "");
    app.dirty ||= given.length > 0;
    return given.length > 0;
  }
  function follow(hash) {
    if (!load(hash)) return;
    setPlaying(!still);
    root.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
  }

  const keys = {
    " ": actions.play, r: actions.reset, n: actions.seed, l: actions.law, f: actions.full,
    ".": () => actions.step(), arrowright: (event) => actions.step(event.shiftKey ? 10 : 1),
    "+": () => actions.speed(1), "-": () => actions.speed(-1),
  };
  function onKey(event) {
    const { target } = event, key = event.key.toLowerCase();
    if (!input.keys.checked || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (!(target === document.body || root.contains(target)) || !app.visible) return; // typing elsewhere on the page
    if (target.matches("[type=number], .lab-link")) return;
    if (target.matches("[type=range]") && key.startsWith("arrow")) return;
    if (target.matches("button, summary, [type=checkbox]") && key === " ") return;
    if (!(key in keys) || (event.repeat && !["arrowright", "."].includes(key))) return;
    event.preventDefault();
    keys[key](event);
  }

  function takeColors() {
    const style = getComputedStyle(root);
    app.colors = { family: style.fontFamily };
    for (const name of COLORS) app.colors[name] = style.getPropertyValue(`--lab-${name}`).trim();
    wake();
  }

  root.hidden = false;
  const paints = [paintMargins, paintLosses, paintCoefficients, paintErrors];
  app.panels = [...root.querySelectorAll("canvas")].map((canvas, k) => new Panel(canvas, paints[k], k === 0 ? 1.5 : 0));
  new ResizeObserver(() => { // this empties the canvases, hence drawn at once
    for (const panel of app.panels) panel.resize();
    if (app.run) draw();
  }).observe(root);
  new MutationObserver(takeColors).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new IntersectionObserver((entries) => {
    app.visible = entries.at(-1).isIntersecting;
    last = performance.now();
    wake();
  }).observe(root);
  for (const control of inputs) {
    control.addEventListener("input", () => changed(control));
    control.addEventListener("change", keep);
  }
  for (const button of root.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => actions[button.dataset.do]());
  }
  find("canvas").addEventListener("click", actions.play);
  if (!document.fullscreenEnabled) find("[data-do=full]").hidden = true;
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => follow(location.hash));
  for (const button of document.querySelectorAll(".lab-try")) { // the experiments in the text
    button.addEventListener("click", () => {
      follow(button.dataset.link);
      keep();
      root.focus({ preventScroll: true }); // so that keys go there
    });
  }
  load(location.hash);
  takeColors();
  setPlaying(app.playing);
  return Object.assign(app, { draw, actions });
}

window.laboratory = { generator, drawStart, createRun, step, read, limitLaw, lawNumbers, shareInterval };
const root = document.getElementById("laboratory");
if (root) window.laboratory.app = start(root);
})();
