/*
 * style.c
 *		How the page looks: its style sheet, and the patterns and symbols of its pictures.
 *
 * Colours are variables, one set for a light page and one for a dark one; paper is light.
 * Text has a contrast of 4.5 to 1 at least against what it stands on, lines and areas of
 * pictures 3 to 1 (WCAG 2.1, AA): a test computes it from what is written here. --t... are
 * of text, --g... of graphics.
 */
#include "postgres.h"

#include "report/style.h"

const char *const pm_style_sheet =
":root{color-scheme:light dark;--bg:#ffffff;--panel:#f4f6f8;--line:#d4d9df;"
"--t-fg:#1b1f24;--t-soft:#525a64;--t-link:#0b57a4;--t-bad:#a1261c;--t-warn:#7a4a00;--t-good:#1d6b3a;"
"--g-axis:#7d858f;--g-conn:#1f66b0;--g-busy:#b4560b;--g-limit:#5b3a94;--g-mark:#a1261c;"
"--g-overflow:#8a6a00;--g-exhausted:#c2410c;--g-over:#b3261e;--g-starved:#7b1fa2;--g-ok:#3d8a5a;"
"--g-0:#1f66b0;--g-1:#b4560b;--g-2:#2f7d4f;--g-3:#7b3fa0;--g-4:#0f7a86;--g-5:#a8325e;--g-6:#6b6f1d;--g-7:#56616e;"
"--range:#1f66b033}\n"
"@media screen and (prefers-color-scheme:dark){:root{--bg:#14171b;--panel:#1d2126;--line:#3a414a;"
"--t-fg:#e7eaee;--t-soft:#a9b2bd;--t-link:#84bdff;--t-bad:#ff9b90;--t-warn:#efc05a;--t-good:#7ed39b;"
"--g-axis:#7f8894;--g-conn:#6fb2ff;--g-busy:#f2a35e;--g-limit:#c3a6f5;--g-mark:#ff9b90;"
"--g-overflow:#dbb93a;--g-exhausted:#ff9560;--g-over:#ff7d72;--g-starved:#d79af2;--g-ok:#63b983;"
"--g-0:#6fb2ff;--g-1:#f2a35e;--g-2:#76c894;--g-3:#c99cec;--g-4:#5cc5d1;--g-5:#f08fb2;--g-6:#c9cc62;--g-7:#a5b0bd;"
"--range:#6fb2ff40}}\n"
"@media print{:root{color-scheme:light}}\n"
"*{box-sizing:border-box}\n"
"body{margin:0;background:var(--bg);color:var(--t-fg);font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
"overflow-wrap:break-word}bdi,code{overflow-wrap:anywhere}\n"
"main{max-width:1120px;margin:0 auto;padding:16px}\n"
"h1{font-size:1.5rem;line-height:1.2;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 .5em;padding-bottom:.2em;border-bottom:1px solid var(--line)}"
"h3{font-size:1.05rem;margin:0 0 .3em}h4{font-size:.9rem;margin:.8em 0 .2em;font-weight:600}p{margin:.3em 0 .6em}\n"
"a{color:var(--t-link)}.soft,caption,figcaption{color:var(--t-soft);font-size:.87rem}"
".bad{color:var(--t-bad)}.warn{color:var(--t-warn)}.good{color:var(--t-good)}"
"code{font:.87rem ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n"
".chip{display:inline-block;white-space:nowrap;border:1px solid currentColor;border-radius:1em;padding:0 .6em;font-size:.8rem;font-weight:600;vertical-align:.1em}\n"
".stands{list-style:none;margin:.8em 0;padding:.7em 1em;background:var(--panel);border-left:5px solid var(--g-ok)}"
".stands.is-bad{border-color:var(--g-mark)}.stands li{margin:.25em 0}.stands b{margin-right:.3em}\n"
"nav{margin:.8em 0}nav a{margin-right:1em;white-space:nowrap;display:inline-block;padding:.2em 0}\n"
"section.pool{border:1px solid var(--line);border-radius:6px;padding:14px;margin:0 0 18px;break-inside:avoid-page}\n"
".two{display:grid;grid-template-columns:minmax(0,1fr);gap:4px 28px}.three{display:grid;grid-template-columns:minmax(0,1fr);gap:6px 28px}\n"
"dl{display:grid;grid-template-columns:minmax(7em,auto) minmax(0,1fr);gap:.15em 1em;margin:.4em 0;font-size:.92rem}"
"dt{color:var(--t-soft)}dd{margin:0}\n"
"figure{margin:0 0 .6em}figcaption{margin:.3em 0}\n"
"svg{display:block}svg.plot{width:calc(100% - 40px);margin-left:40px;overflow:visible}svg.bars,svg.stack{width:100%;overflow:visible}\n"
"svg text{fill:var(--t-soft);font-size:11px}svg .x{text-anchor:middle}svg .y{text-anchor:end}svg .strong{fill:var(--t-fg);font-weight:700}"
"svg .limit{fill:var(--t-fg);font-size:11px;text-anchor:end;paint-order:stroke;stroke:var(--bg);stroke-width:3px}svg .limit.l{text-anchor:start}\n"
".grid{stroke:var(--line)}.axis{stroke:var(--g-axis)}.tick{stroke:var(--line);stroke-dasharray:1 3}.gap{fill:url(#gap)}.absent{fill:url(#absent)}\n"
".range{fill:var(--range)}.busy{fill:var(--g-busy);fill-opacity:.55}.most,.mean{fill:none;vector-effect:non-scaling-stroke}"
".mean{stroke:var(--g-conn);stroke-width:1.8}.most{stroke:var(--g-busy);stroke-width:1.2;stroke-dasharray:2 2}\n"
".lim{stroke:var(--g-limit);stroke-width:1.4}.lim.ceiling{stroke-dasharray:9 4}.lim.base{stroke-dasharray:2 4}.lim.budget{stroke-dasharray:9 3 2 3}\n"
".b2{fill:var(--g-ok)}.b3{fill:url(#p3)}.b4{fill:url(#p4)}.b5{fill:url(#p5)}.b6{fill:url(#p6)}\n"
".bar{fill:var(--g-0)}.bar.today{fill:var(--g-1)}.bar.cut{fill:url(#cut)}\n"
".s0{fill:url(#s0)}.s1{fill:url(#s1)}.s2{fill:url(#s2)}.s3{fill:url(#s3)}.s4{fill:url(#s4)}.s5{fill:url(#s5)}.s6{fill:url(#s6)}.s7{fill:url(#s7)}"
".other{fill:url(#so)}.rest{fill:none}svg.stack rect,svg.sw rect{stroke:var(--bg);stroke-width:1}svg.stack .rest,svg.sw .rest{stroke:var(--g-axis);stroke-dasharray:3 2}"
".mark{stroke:var(--g-mark);stroke-width:2.5}\n"
".w{width:14px;height:14px}.sw{display:inline-block;width:14px;height:14px;vertical-align:-2px;margin-right:.35em}.key{list-style:none;padding:0;margin:.3em 0;font-size:.87rem;color:var(--t-soft)}"
".key li{display:inline-block;margin:0 1.1em .2em 0}\n"
"table{border-collapse:collapse;width:100%;margin:.5em 0 1em;font-size:.9rem}caption{text-align:left;padding:.2em 0}"
"th{text-align:left;font-weight:600;color:var(--t-soft);border-bottom:1px solid var(--g-axis);padding:.25em .8em .25em 0;vertical-align:bottom}"
"td{border-bottom:1px solid var(--line);padding:.3em .8em .3em 0;vertical-align:top}tbody tr:hover{background:var(--panel)}\n"
"details{margin:.5em 0}summary{cursor:pointer;color:var(--t-link);padding:.2em 0}footer{margin:2.5em 0 1em}\n"
"@media(min-width:860px){td.v{white-space:nowrap}td:first-child{min-width:6em}}\n"
"@media(min-width:760px){.three{grid-template-columns:repeat(3,minmax(0,1fr))}}\n"
"@media(min-width:1000px){.two{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}\n"
"@media(max-width:759px){svg .n{display:none}h2{margin-top:1.6em}section.pool{padding:10px}}\n"
"@media screen and (max-width:859px){thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}tr{padding:.45em 0;border-bottom:1px solid var(--line)}"
"tbody,caption{display:block}tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5em,1fr));gap:.1em .8em}"
"td{border:0;padding:.08em 0}td.no{display:none}td.wide,td:first-child{grid-column:1/-1}td:first-child{font-weight:600}"
"td:not(:first-child)::before{content:attr(data-of);color:var(--t-soft);display:block;font-size:.8rem;font-weight:400}}\n"
"@media print{body{font-size:10.5pt}main{max-width:none;padding:0 6px}nav,.help{display:none}h2,h3,h4{break-after:avoid}tr,figure,svg{break-inside:avoid}"
"*{print-color-adjust:exact;-webkit-print-color-adjust:exact}a{color:inherit;text-decoration:none}}\n";

/* A pattern of lines, or dots, over a colour. */
#define PATTERN(id, size, colour, over) \
	"<pattern id=\"" id "\" width=\"" size "\" height=\"" size "\" patternUnits=\"userSpaceOnUse\">" \
	"<rect width=\"" size "\" height=\"" size "\" style=\"stroke:none;fill:var(" colour ")\"/>" \
	"<path d=\"" over "\" style=\"fill:none;stroke:var(--bg);stroke-width:1.3\"/></pattern>"

const char *const pm_style_symbols =
"<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\"><defs>"
PATTERN("s0", "8", "--g-0", "M0 0")
PATTERN("s1", "7", "--g-1", "M0 7L7 0")
PATTERN("s2", "6", "--g-2", "M3 0V6")
PATTERN("s3", "7", "--g-3", "M0 0L7 7")
PATTERN("s4", "6", "--g-4", "M0 3H6")
PATTERN("s5", "7", "--g-5", "M0 3.5H7M3.5 0V7")
PATTERN("s6", "7", "--g-6", "M0 7L7 0M0 0L7 7")
PATTERN("s7", "5", "--g-7", "M2 2H3.4")
PATTERN("so", "3", "--g-axis", "M0 1.5H3")
PATTERN("p3", "5", "--g-overflow", "M2.5 0V5")
PATTERN("p4", "6", "--g-exhausted", "M0 6L6 0")
PATTERN("p5", "4", "--g-over", "M0 0")
PATTERN("p6", "6", "--g-starved", "M0 6L6 0M0 0L6 6")
PATTERN("cut", "6", "--g-mark", "M0 6L6 0")
"<pattern id=\"gap\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 7L7 0\" style=\"fill:none;stroke:var(--g-axis);stroke-width:.8\"/></pattern>"
"<pattern id=\"absent\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><circle cx=\"4\" cy=\"4\" r=\".9\" style=\"fill:var(--g-axis)\"/></pattern>"
"<circle id=\"peak\" r=\"4\" style=\"fill:var(--bg);stroke:var(--g-conn);stroke-width:2\"/>"
"<path id=\"m-limit\" d=\"M-4 4L0-4L4 4Z\" style=\"fill:var(--g-mark)\"/>"
"<path id=\"m-refused\" d=\"M-3.5-3.5L3.5 3.5M-3.5 3.5L3.5-3.5\" style=\"fill:none;stroke:var(--g-mark);stroke-width:2\"/>"
"<rect id=\"m-storm\" x=\"-3\" y=\"-3\" width=\"6\" height=\"6\" style=\"fill:var(--g-busy)\"/>"
"<path id=\"m-leak\" d=\"M0-4L4 0L0 4L-4 0Z\" style=\"fill:var(--g-busy)\"/>"
"<path id=\"m-pause\" d=\"M-2-4V4M2-4V4\" style=\"fill:none;stroke:var(--g-limit);stroke-width:2\"/>"
"<circle id=\"m-change\" r=\"3.2\" style=\"fill:none;stroke:var(--g-limit);stroke-width:1.8\"/>"
"<path id=\"m-start\" d=\"M0-5V5\" style=\"fill:none;stroke:var(--t-fg);stroke-width:2\"/>"
"</defs></svg>\n";
