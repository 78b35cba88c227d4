"""Looks and behaviour of the gallery's page: its style, its script, and the frame around the cards."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f5f6f8; --line: #6b7280; --text: #16181d; --quiet: #4b5563;
  --mark: #0b57d0; --done: #1a7f37 }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1f2329; --line: #8b949e; --text: #eceef1;
  --quiet: #b3bac4; --mark: #8ab4ff; --done: #56d364 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.45 system-ui, sans-serif }
header { padding: .75rem 1rem 0 }
h1 { margin: 0; font-size: 1.25rem; overflow-wrap: anywhere }
header p { margin: .25rem 0; color: var(--quiet); max-width: 70ch }
.bar { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  padding: .5rem 1rem; background: var(--page); border-bottom: 1px solid var(--line) }
button { font: inherit; padding: .35rem .8rem; border: 1px solid var(--mark); border-radius: .4rem;
  background: var(--mark); color: var(--page); cursor: pointer }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: .75rem;
  padding: .75rem 1rem 3rem }
.card { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem .75rem; align-content: start;
  padding: .75rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  scroll-margin-top: 4rem }
.card.done { border-color: var(--done); box-shadow: inset .3rem 0 var(--done) }
.card.wide { grid-template-columns: minmax(0, 1fr) }
h2 { margin: 0; font-size: 1rem; overflow-wrap: anywhere }
.card p { margin: .15rem 0; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: auto auto; justify-content: start; gap: 0 .6rem; margin: .25rem 0;
  font-size: .875rem; color: var(--quiet) }
dd { margin: 0; font-variant-numeric: tabular-nums; color: var(--text) }
img { display: block; object-fit: contain; background: #808080 }
img.pixels { image-rendering: pixelated }
.rows { overflow-x: auto }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums }
th, td { padding: .1rem .5rem; text-align: right; border-bottom: 1px solid var(--line) }
fieldset { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .25rem .9rem; margin: .25rem 0 0;
  padding: .25rem 0; border: 0; min-width: 0 }
legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
label { display: inline-flex; gap: .35rem; align-items: center; min-height: 1.75rem; overflow-wrap: anywhere }
select { font: inherit; max-width: 12rem }
@media print { .bar { display: none } .card { break-inside: avoid } }
"""

SCRIPT = """
"use strict";
const cards = [...document.querySelectorAll(".card")], status = document.getElementById("status");
const classes = document.getElementById("classes").content;
let unsaved = false;
for (const card of cards) card.querySelector("select").append(classes.cloneNode(true));

function decided(card) {
  const chosen = card.querySelector("input:checked");
  if (!chosen) return null;
  if (chosen.value === "keep") return ["keep", card.dataset.observed];
  if (chosen.value === "drop") return ["drop", ""];
  if (chosen.value === "suggested") return ["relabel", card.dataset.suggested];
  const other = card.querySelector("select");
  return other.value === "" ? null : ["relabel", other.selectedOptions[0].dataset.label];
}

function count() {
  let done = 0;
  for (const card of cards) {
    const is = decided(card) !== null;
    card.classList.toggle("done", is);
    done += is;
  }
  const open = cards.filter(card => card.querySelector("input:checked") && !decided(card)).length;
  status.textContent = `${done} of ${cards.length} decided` + (open ? `, ${open} without the other class` : "");
}

document.addEventListener("change", event => {
  const card = event.target.closest(".card");
  if (event.target.tagName === "SELECT") card.querySelector("[value=other]").checked = true;
  else if (event.target.value === "other") card.querySelector("select").focus();
  unsaved = true;
  count();
});

document.addEventListener("keydown", event => {
  const card = event.target.closest(".card");
  if (!card || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const value = {k: "keep", d: "drop", s: "suggested"}[event.key], step = {n: 1, p: -1}[event.key];
  let to = cards.indexOf(card) + (step || 1);
  if (value) {
    const choice = card.querySelector(`[value=${value}]`);
    if (!choice) return;
    choice.checked = true;
    unsaved = true;
    count();
  } else if (!step) return;
  event.preventDefault();
  cards[Math.max(0, Math.min(cards.length - 1, to))].focus();
});

document.getElementById("save").addEventListener("click", () => {
  const rows = [["sample", "file", "observed", "decision", "label", "data"]];
  for (const card of cards) {
    const found = decided(card), {sample, file, observed} = card.dataset;
    if (found) rows.push([sample, file, observed, ...found, document.body.dataset.data]);
  }
  const quoted = text => '"' + text.replaceAll('"', '""') + '"';
  const text = "\\ufeff" + rows.map(row => row.map(quoted).join(",") + "\\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  count();
  status.textContent += `; saved ${rows.length - 1} as decisions.csv`;
});

addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });
count();
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body data-data="{fingerprint}">
<header>
<h1>{title}</h1>
<p>The {count} most suspect labels, the most suspect first. Decide on as many as you like and save: cards without a
decision are not in the file. Keys, with a card in focus: k keeps the label, d drops the sample, s takes the
suggestion, each going on to the next card; n and p go to the next and the previous one.</p>
</header>
<div class="bar"><button id="save" type="button">Save decisions as CSV</button><span id="status" role="status"></span>
</div>
<template id="classes">{classes}</template>
<main>
{cards}
</main>
<script>{script}</script>
</body>
</html>
"""
