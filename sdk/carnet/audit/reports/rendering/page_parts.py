"""The style and the script of the HTML page.

Responsible for what the page says to a browser besides its text. The page's policy allows exactly these two
by their digests, so that nothing that stands in a report can style it or run.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

# Contrast of text on its ground is at least 7:1 in both schemes (WCAG 2.2, 1.4.6).
STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1b1f;--dim:#494951;--ground:#fff;--band:#f3f3f6;--line:#c4c4cc;
--link:#0b3d91}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--dim:#c3c3cc;--ground:#16161a;--band:#222228;
--line:#4a4a55;--link:#a9c7ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:110rem;padding:1.5rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--ground)}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}
h2{font-size:1.2rem;margin:2rem 0 .5rem}
a{color:var(--link)}
p.about,.dim{color:var(--dim)}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.2rem 1.5rem;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;color:var(--dim);padding:.3rem 0}
th,td{border-bottom:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top}
thead th{background:var(--band);position:sticky;top:0}
td.text{white-space:pre-wrap;overflow-wrap:anywhere;min-width:6ch}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
td.time{white-space:nowrap;font-variant-numeric:tabular-nums}
td ul{margin:0;padding:0;list-style:none}td li{white-space:pre-wrap;overflow-wrap:anywhere}
td.none{color:var(--dim)}
td.digest code{display:inline-block;max-width:14ch;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
vertical-align:bottom;user-select:all}
td.digest code:hover{max-width:none}
pre{margin:0;font-size:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}
th button{all:unset;cursor:pointer;font-weight:inherit}
th button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
label.filter{display:block;margin:.5rem 0}
label.filter input{font:inherit;color:inherit;background:var(--ground);border:1px solid var(--dim);
padding:.2rem .4rem;min-width:16rem}
@media print{@page{size:A4 landscape;margin:12mm}body{max-width:none;padding:0;font-size:9pt}
thead{display:table-header-group}tr{break-inside:avoid}thead th{position:static}.scroll{overflow:visible}
td.digest code{max-width:none;white-space:normal;overflow-wrap:anywhere}label.filter,nav{display:none}}
"""

# Without it the page is whole: it adds the filter and makes the headings sort, and changes no text.
SCRIPT: Final = """
"use strict";
for (const table of document.querySelectorAll("table.rows")) {
  const body = table.tBodies[0], rows = [...body.rows];
  if (rows.length < 2) continue;
  const label = document.createElement("label"), input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  label.append("Show rows with ", input);
  table.closest(".scroll").before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button"), column = heading.cellIndex;
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const each of heading.parentNode.cells) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const number = heading.classList.contains("number");
      const key = (row) => {
        const cell = row.cells[column];
        return cell.classList.contains("none") ? null : cell.textContent;
      };
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const result = number ? Number(x) - Number(y) : x < y ? -1 : x > y ? 1 : 0;
        return down ? -result : result;
      };
      body.append(...[...rows].sort(order));
    });
  }
}
"""


def source_hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text (CSP Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_POLICY: Final = (
    f"default-src 'none'; style-src {source_hash(STYLE)}; script-src {source_hash(SCRIPT)}; "
    "base-uri 'none'; form-action 'none'"
)
