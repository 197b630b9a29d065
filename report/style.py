"""The page's style sheet: calm, system fonts, light and dark, phone and print.

A string and not a file, so that rendering reads nothing from a disk.
"""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fcfcfa; --raised: #ffffff; --ink: #1d2126; --muted: #5d636b; --line: #e3e3de;
  --accent: #2a62a8; --good: #17734a; --bad: #b3322a; --caution: #855300;
  --shade: #f2f2ee; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --raised: #1a1e23; --ink: #e7e8e8; --muted: #a2a8b0; --line: #30353c;
  --accent: #86b4f5; --good: #63c99c; --bad: #ff948a; --caution: #e4b768;
  --shade: #20252b; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main, header.top, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h2 { font-size: 1.35rem; margin: 0 0 .35rem; letter-spacing: -.005em; }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
p { margin: .35rem 0 .75rem; max-width: 46rem; }
section { padding: 2rem 0 .25rem; border-top: 1px solid var(--line); margin-top: 1.5rem; }
header.top { padding-top: 2.5rem; }
.kicker { color: var(--muted); font-size: .875rem; margin: 0; }
.verdict { margin-top: .9rem; padding: 0 0 0 1.25rem; border-left: 4px solid var(--tone); }
.verdict h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.15rem); margin: 0 0 .6rem; color: var(--tone);
  letter-spacing: -.015em; }
.verdict p { font-size: 1.125rem; margin: 0 0 .5rem; }
.verdict p.gate, .verdict ul { font-size: .9375rem; color: var(--muted); }
.verdict ul { margin: .5rem 0 0; padding-left: 1.1rem; max-width: 46rem; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .calm { --tone: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .75rem;
  margin: 1.75rem 0 0; }
.tiles > div { background: var(--raised); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; }
.tiles dt, .tiles small { color: var(--muted); font-size: .8125rem; display: block; }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; letter-spacing: -.01em; line-height: 1.35; }
.tiles small { font-weight: 400; letter-spacing: 0; line-height: 1.4; }
nav { margin: 1.75rem 0 -.5rem; font-size: .875rem; }
nav a { display: inline-block; padding: .25rem 0; margin-right: .9rem; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.note, caption { color: var(--muted); font-size: .875rem; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: 0 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .9rem .45rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: .8125rem; }
tbody th { font-weight: 500; }
.num { text-align: right; white-space: nowrap; }
.state { white-space: nowrap; font-weight: 600; }
.passed { color: var(--good); } .refused { color: var(--bad); } .noted { color: var(--muted); }
code { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--shade); border-radius: 8px; padding: .9rem 1rem; overflow-x: auto; margin: .5rem 0;
  white-space: pre-wrap; }
dl { margin: .6rem 0 1rem; }
dl > div { display: grid; grid-template-columns: 13rem 1fr; gap: 0 1rem; padding: .4rem 0;
  border-bottom: 1px solid var(--line); font-size: .9rem; }
dl.tiles > div { display: block; }
dt { color: var(--muted); } dd { margin: 0; }
details { margin: .5rem 0 1rem; }
summary { cursor: pointer; color: var(--accent); padding: .35rem 0; font-size: .9rem; }
.text { text-align: start; white-space: pre-wrap; max-width: 34rem; min-width: 14rem; overflow-wrap: anywhere; }
mark { color: inherit; background: none; border-radius: 2px; }
.for-1, .for-2, .for-3, .for-4 { background: color-mix(in srgb, var(--good) calc(var(--s) * 1%), transparent); }
.against-1, .against-2, .against-3, .against-4 { background: color-mix(in srgb, var(--bad) calc(var(--s) * 1%), transparent);
  text-decoration: underline dotted; }
.for-1, .against-1 { --s: 10; } .for-2, .against-2 { --s: 20; } .for-3, .against-3 { --s: 32; } .for-4, .against-4 { --s: 45; }
.absent { color: var(--muted); font-style: italic; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1.25rem 2rem; }
figure { margin: .5rem 0 1rem; min-width: 0; }
figcaption { color: var(--muted); font-size: .8125rem; margin-bottom: .3rem; }
figcaption b { color: var(--ink); font-weight: 600; font-size: .9rem; }
svg { display: block; overflow: visible; max-width: 100%; }
svg text { fill: var(--muted); font-size: 11px; }
svg text.none { paint-order: stroke; stroke: var(--paper); stroke-width: 6px; }
.grid { stroke: var(--line); } .zero { stroke: var(--muted); } .diagonal { stroke: var(--muted); stroke-dasharray: 4 4; }
.limit { stroke: var(--caution); stroke-width: 2; stroke-dasharray: 3 2.5; }
.whisker { stroke-width: 2; } .dot { stroke: var(--paper); stroke-width: 1.5; }
.mark-passed { stroke: var(--good); fill: var(--good); } .mark-refused { stroke: var(--bad); fill: var(--bad); }
.mark-noted { stroke: var(--muted); fill: var(--muted); } .mark-plain { stroke: var(--accent); fill: var(--accent); }
.dot.mark-passed, .dot.mark-refused, .dot.mark-noted, .dot.mark-plain { stroke: var(--paper); }
.line-0 { stroke: var(--accent); } .line-1 { stroke: var(--caution); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.swatch-0 { color: var(--accent); } .swatch-1 { color: var(--caution); }
.point { fill: var(--accent); fill-opacity: .8; } .gap { stroke: var(--bad); stroke-width: 2; stroke-opacity: .55; }
.bar { fill: var(--accent); fill-opacity: .75; } .track { fill: var(--shade); } .best { stroke: var(--good); stroke-dasharray: 3 3; }
.heat { fill: var(--bad); } .heat-right { fill: var(--good); }
table.forest { table-layout: fixed; min-width: 0; }
table.forest th:first-child { width: 38%; } table.forest tbody td { position: relative; padding: 0; }
table.forest tbody th { height: 3.6rem; vertical-align: middle; }
table.forest th small { display: block; color: var(--muted); font-weight: 400; font-size: .8125rem; }
table.forest tfoot td, table.forest tfoot th { border: 0; }
.plot { padding: 0 1.25rem; }
tbody .plot { position: absolute; inset: 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.legend { color: var(--muted); font-size: .8125rem; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; align-items: center; }
.legend span { display: inline-flex; gap: .4rem; align-items: center; }
table.matrix { width: auto; } table.matrix td { text-align: right; min-width: 3.6rem; padding: .45rem .7rem;
  border: 2px solid var(--paper); background: color-mix(in srgb, var(--bad) calc(var(--v) * 55%), var(--shade)); }
table.matrix td.right { background: color-mix(in srgb, var(--good) calc(var(--v) * 40%), var(--shade)); }
table.matrix thead th { text-align: right; padding-right: .7rem; }
.bars td:last-child { width: 45%; min-width: 8rem; vertical-align: middle; }
footer { color: var(--muted); font-size: .8125rem; padding-top: 1.5rem; padding-bottom: 3rem; }
@media (max-width: 40rem) {
  header.top { padding-top: 1.5rem; } .verdict { padding-left: .9rem; } .verdict p { font-size: 1.05rem; }
  dl > div { grid-template-columns: 1fr; } .tiles { grid-template-columns: 1fr 1fr; }
  .tiles dd { font-size: 1.25rem; } table { font-size: .85rem; } .plot { padding: 0 .75rem; }
  bdi { overflow-wrap: anywhere; } th, td { min-width: 3.5rem; }
  table.stack thead { display: none; } table.stack tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  table.stack th, table.stack td { display: block; border: 0; padding: .1rem 0; }
  table.stack td[data-label]:not([data-label="Result"], [data-label="Reason"], [data-label="Text"])::before {
    content: attr(data-label) ": "; color: var(--muted); } table.stack td:empty { display: none; }
  table.forest th:first-child { width: 46%; } .text { min-width: 11rem; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --raised: #fff; --ink: #000; --muted: #444; --line: #ccc;
    --accent: #1d4f8c; --good: #0f5f3b; --bad: #9b231c; --caution: #6b4300; --shade: #f1f1f1; }
  body { font-size: 10.5pt; } nav { display: none; } section { break-before: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  tr, figure, dl > div, h2, h3 { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } summary { color: inherit; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""
