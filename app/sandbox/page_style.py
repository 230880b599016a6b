"""The page's style sheet and its one script, kept apart from what it shows. No asset is fetched from anywhere."""

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#5b6570;--line:#dde1e6;--accent:#2457d6;
--good:#0b6b3a;--goodbg:#dff3e7;--bad:#9b1c1c;--badbg:#fbe3e3}
@media(prefers-color-scheme:dark){:root{--bg:#12151a;--card:#1b2027;--ink:#e7eaee;--soft:#9aa5b1;--line:#303844;
--accent:#8fb0ff;--good:#7fdcaa;--goodbg:#143524;--bad:#ff9d9d;--badbg:#43201f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:0 16px}
header{padding-top:20px}
h1{font-size:22px;margin:0}h2{font-size:17px;margin:0 0 10px}h3{font-size:14px;margin:0;font-weight:600}
header p,.told,.empty,.card p{color:var(--soft);margin:4px 0 0}
nav{display:flex;gap:16px;flex-wrap:wrap;margin-top:8px}a{color:var(--accent)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:16px 0}
#calls table,#imports table{font-size:14px}
#calls,#imports{max-height:440px;overflow:auto}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-size:12px;font-weight:600;color:var(--soft)}
th,td{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tr:last-child td{border-bottom:0}
code{font:13px/1.4 ui-monospace,monospace}
.badge{display:inline-block;padding:0 8px;border-radius:9px;font-size:12px;line-height:19px;background:var(--line);
white-space:nowrap}
.badge.good{background:var(--goodbg);color:var(--good)}.badge.bad{background:var(--badbg);color:var(--bad)}
.tools{display:flex;gap:8px;flex-wrap:wrap;margin-top:10px}
#faults>.tools{margin:0 0 12px}
button,input,select{font:inherit;font-size:14px;color:inherit;background:var(--bg);border:1px solid var(--line);
border-radius:6px;padding:4px 10px;min-height:32px;max-width:100%}
button{cursor:pointer;color:var(--accent);font-weight:600}button.danger{color:var(--bad)}
:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:12px}
.card{display:flex;flex-direction:column;border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0}
.card.on{border-color:var(--bad)}.card p{font-size:13px;flex:1}
.fields{display:flex;flex-wrap:wrap;gap:6px 12px;margin-top:8px}
label{display:flex;gap:6px;align-items:center;font-size:13px;color:var(--soft);max-width:100%}
label input,label select{color:var(--ink);min-width:0}
@media(max-width:700px){
thead{display:none}table,tbody,tr,td{display:block}
tr{padding:8px 0;border-bottom:1px solid var(--line)}tr:last-child{border-bottom:0}
td{border:0;padding:1px 0;display:flex;gap:10px}
td:has(>span:empty){display:none}
td::before{content:attr(data-head);flex:0 0 96px;font-size:12px;color:var(--soft);line-height:22px}
td[data-head=""]::before{display:none}
button,input,select{min-height:40px}}
"""

SCRIPT = """
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("/", {headers: {accept: "text/html"}});
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      if (part.contains(document.activeElement)) continue;
      const next = fresh.getElementById(part.id);
      if (next && next.innerHTML !== part.innerHTML) part.innerHTML = next.innerHTML;
    }
  } catch { /* the sandbox is away: the next round asks again */ }
}, 2000);
"""
