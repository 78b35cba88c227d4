// Scores of search results, read by Sphinx's searchtools.js: a section or a statement found by its name comes before
// the pages that merely hold its words, and a statement before a section of the same name. Labels of statements start
// with their kind. The weights below `score` are Sphinx's own.
var Scorer = {
  score: ([, , anchor, , score]) => score + (anchor ? 100 : 0) + (/^#(thm|lem|prop|cor|def|obs|ex)-/.test(anchor) ? 10 : 0),
  objNameMatch: 11, objPartialMatch: 6, objPrio: { 0: 15, 1: 5, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};
