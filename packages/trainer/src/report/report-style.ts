/** Colours are those of the documentation. What they tell is told by shape or word too. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfcfc; --text: #1c2733; --quiet: #5b6672; --line: #e1e6ea; --grid: #e9edf0; --box: #f2f5f6;
  --graft: #0f8f6b; --graft-text: #0b6e52; --graft-soft: #dff3ec; --raw: #a9d3c4;
  --held: #2b5fb8; --bad: #b3261e; --bad-soft: #fbe9e7; --note: #7c8894;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181b; --text: #e6eaee; --quiet: #a4aeb8; --line: #31373e; --grid: #262b31; --box: #1e2227;
    --graft: #3dbb92; --graft-text: #4cc79f; --graft-soft: #17382e; --raw: #2c6753;
    --held: #8db4f5; --bad: #f2a097; --bad-soft: #3d2220; --note: #8a95a0;
  }
}
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; }
body {
  background: var(--page); color: var(--text); max-width: 1080px; margin: 0 auto; padding: 40px 32px 64px;
  font: 15px/1.55 ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { font-size: 30px; line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; line-height: 1.3; font-weight: 650; margin-bottom: 16px; }
h3 { font-size: 14px; font-weight: 600; }
h4 { font-size: 12.5px; font-weight: 600; color: var(--quiet); margin-bottom: 6px; }
section { margin-top: 48px; }
.quiet { color: var(--quiet); font-size: 13px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 2px solid var(--graft); outline-offset: 2px; border-radius: 3px; }

.brand { display: flex; align-items: center; gap: 8px; color: var(--quiet); font-size: 13px; margin-bottom: 20px; }
.mark { width: 22px; height: 22px; }
.mark .graft { stroke: var(--graft); }
.mark .bud { fill: var(--graft); }
.outcome { margin-top: 10px; color: var(--quiet); display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; }
.chip { font-size: 13px; font-weight: 600; padding: 2px 11px; border-radius: 99px; background: var(--box); color: var(--text); box-shadow: inset 0 0 0 1px var(--line); }
.chip.good { background: var(--graft-soft); color: var(--graft-text); box-shadow: none; }
.chip.bad { background: var(--bad-soft); color: var(--bad); box-shadow: none; }
.fault { margin-top: 18px; padding: 12px 16px; border-left: 3px solid var(--bad); background: var(--bad-soft); border-radius: 0 6px 6px 0; }

.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 24px 32px; margin-top: 36px; }
.tile { border-top: 1px solid var(--line); padding-top: 12px; }
.tile h2 { font-size: 13px; font-weight: 500; color: var(--quiet); margin: 0; }
.value { font-size: 26px; line-height: 1.35; font-weight: 600; letter-spacing: -0.01em; }

.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 36px 40px; }
.chart { min-width: 0; }
.chart.large { grid-column: 1 / -1; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 16px; margin-bottom: 12px; min-height: 22px; }
figcaption output { margin-left: auto; color: var(--quiet); font-size: 13px; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; color: var(--quiet); }
.key::before { content: ''; display: inline-block; vertical-align: middle; width: 16px; height: 0; margin-right: 6px; border-top: 2px solid var(--c); }
.key.raw { --c: var(--raw); }
.key.main, .key.plain { --c: var(--graft); }
.key.held::before { width: 8px; height: 8px; border: 0; border-radius: 50%; background: var(--held); }
.key.skip::before { width: 3px; height: 10px; border: 0; background: var(--bad); }
.frame { display: grid; grid-template-columns: 58px 1fr; }
.plot { position: relative; height: 130px; touch-action: pan-y; cursor: crosshair; }
.large .plot { height: 280px; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.y, .x { position: relative; font-size: 12px; color: var(--quiet); }
.y span { position: absolute; right: 12px; transform: translateY(-50%); line-height: 1; white-space: nowrap; }
.x { grid-column: 2; height: 24px; }
.x span { position: absolute; top: 8px; transform: translateX(-50%); line-height: 1; }
.plot path, .plot polyline { fill: none; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--grid); }
.plot .raw { stroke: var(--raw); stroke-width: 1.2; stroke-linejoin: round; }
.plot .main { stroke: var(--graft); stroke-width: 2.2; stroke-linejoin: round; }
.plot .plain { stroke: var(--graft); stroke-width: 1.4; stroke-linejoin: round; }
.plot .held { stroke: var(--held); stroke-width: 1.2; stroke-dasharray: 3 4; }
.plot .many { stroke-width: 1.8; stroke-dasharray: none; }
.plot .dot { stroke-width: 7; stroke-linecap: round; stroke-dasharray: none; }
.plot .best { stroke-width: 12; }
.plot .skip { stroke: var(--bad); stroke-width: 2; }
.plot .note { stroke: var(--note); stroke-dasharray: 2 3; }
.note-label { position: absolute; top: -7px; padding-left: 5px; font-size: 12px; line-height: 1; color: var(--quiet); white-space: nowrap; background: var(--page); }
.note-label.left { transform: translateX(-100%); padding: 0 5px 0 0; }
.cursor { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--text); opacity: 0; pointer-events: none; }
.cursor.on { opacity: 0.45; }

.events { list-style: none; padding: 0; }
.events li { display: grid; grid-template-columns: 110px 1fr; gap: 12px; padding: 7px 0; border-top: 1px solid var(--line); }
.events li:last-child { border-bottom: 1px solid var(--line); margin-bottom: 12px; }
.events .gap { display: block; color: var(--quiet); }
.when { color: var(--quiet); }
.what { overflow-wrap: anywhere; white-space: pre-line; }
.bad .when { color: var(--bad); font-weight: 600; }

.wide { overflow-x: auto; position: relative; }
table { border-collapse: collapse; min-width: 320px; }
th, td { text-align: right; padding: 5px 24px 5px 0; border-bottom: 1px solid var(--line); font-weight: 400; white-space: nowrap; }
thead th { color: var(--quiet); font-size: 13px; }
th:first-child { text-align: left; padding-right: 32px; }
.word { text-align: left; color: var(--graft-text); font-weight: 600; font-size: 13px; }
.best th, .best td { font-weight: 600; }

pre { font: 13px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.text { padding: 10px 14px; border-radius: 6px; background: var(--box); max-height: 300px; overflow: auto; unicode-bidi: plaintext; }
.sample { padding-top: 18px; margin-top: 18px; border-top: 1px solid var(--line); }
h2 + .sample { margin-top: 0; }
.prompt { background: none; padding: 0 0 0 14px; border-left: 3px solid var(--graft); border-radius: 0; margin-bottom: 14px; }
.prompt[dir='auto']:dir(rtl) { border-left: 0; border-right: 3px solid var(--graft); padding: 0 14px 0 0; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 16px; }
.said { min-width: 0; }
.nothing { color: var(--quiet); font-style: italic; padding: 10px 14px; border-radius: 6px; background: var(--box); }

.row { margin-top: 16px; }
.row .text { margin-top: 6px; line-height: 1.9; }
.t { color: inherit; background: none; padding: 2px 0; }
mark.t { color: var(--graft-text); background: var(--graft-soft); box-shadow: inset -1px 0 var(--page); font-weight: 600; border-radius: 2px; }
.off { color: var(--quiet); }
.special { text-decoration: underline dotted; text-underline-offset: 4px; }
.break { font-style: normal; opacity: 0.55; }

.made { display: grid; grid-template-columns: 5fr 3fr; gap: 28px 40px; font-size: 14px; }
.made > details { grid-column: 1 / -1; }
.made h3 { margin-bottom: 6px; }
dl > div { display: grid; grid-template-columns: 110px 1fr; gap: 12px; padding: 5px 0; border-top: 1px solid var(--line); }
dt { color: var(--quiet); }
dd { overflow-wrap: anywhere; }
summary { cursor: pointer; }
summary h3 { display: inline; }
details pre { margin-top: 10px; }
.code { max-height: none; }

@media (max-width: 720px) {
  body { padding: 24px 18px 48px; }
  h1 { font-size: 24px; }
  section { margin-top: 40px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 18px 20px; margin-top: 28px; }
  .value { font-size: 21px; }
  .charts { grid-template-columns: minmax(0, 1fr); gap: 28px; }
  .large .plot { height: 220px; }
  .large output { margin-left: 0; width: 100%; }
  .frame { grid-template-columns: 52px 1fr; }
  .note-label.tight { display: none; }
  .made { grid-template-columns: minmax(0, 1fr); }
  .events li { grid-template-columns: 1fr; gap: 0; }
  dl > div { grid-template-columns: 1fr; gap: 0; }
}
@media print {
  body { max-width: none; padding: 0; }
  .chart, .tile, .sample { break-inside: avoid; }
  .text { max-height: none; }
}
`
