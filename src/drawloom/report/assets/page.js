"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const { latency, tick, engines, lanes, texts, layers, util, tiles } = data;
  const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // --- numbers as people read them (as report/quantities.py) ------------------
  const digits = (v) => {
    const a = Math.abs(v);
    if (a >= 99.95 || v === 0) return Math.round(v).toLocaleString("en-US");
    return a >= 9.995 ? v.toFixed(1) : a >= 0.9995 ? v.toFixed(2) : String(Number(v.toPrecision(3)));
  };
  const scaled = (v, scales) => {
    const [s, u] = scales.find(([s]) => Math.abs(v) * 1.0005 >= s) || scales[scales.length - 1];
    return `${digits(v / s)} ${u}`;
  };
  const time = (ps) => scaled(ps, [[1e12, "s"], [1e9, "ms"], [1e6, "µs"], [1e3, "ns"], [1, "ps"]]);
  const bytes = (n) => scaled(n, [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"], [1, "B"]]);
  const pct = (x) => `${(100 * x).toFixed(1)} %`;

  // --- the spans ---------------------------------------------------------------
  const decode = () => {
    const raw = atob(data.spans);
    let at = 0;
    const next = () => {
      let value = 0, scale = 1, b;
      do { b = raw.charCodeAt(at++); value += (b & 127) * scale; scale *= 128; } while (b & 128);
      return value;
    };
    return lanes.map(([tile, engine, n]) => {
      const lane = { tile, engine, n, start: new Float64Array(n), end: new Float64Array(n), text: new Uint32Array(n),
        layer: new Uint32Array(n), count: new Uint32Array(n), busy: new Float64Array(n), bytes: new Float64Array(n) };
      let clock = 0;
      for (let i = 0; i < n; i++) {
        lane.start[i] = clock += next();
        lane.end[i] = clock += next();
        lane.text[i] = next(); lane.layer[i] = next(); lane.count[i] = next() + 1;
        lane.busy[i] = lane.end[i] - lane.start[i] - next();
        lane.bytes[i] = next();
      }
      return lane;
    });
  };
  const rows = decode();
  const whole = Math.max(1, latency / tick);
  const view = { from: 0, to: whole };
  let chosen = -1, byLayer = false;
  const hidden = new Set();

  // --- drawing -----------------------------------------------------------------
  const canvas = $("lanes"), overview = $("overview"), tip = $("tip");
  const GUTTER = 62, AXIS = 24, LANE = 6, GAP = 1, BAND = 6;
  let colours = {}, hues = [];
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    colours = { ink: get("--ink"), soft: get("--soft"), faint: get("--faint"), grid: get("--grid"), line: get("--line"), accent: get("--accent"), engines: engines.map((e) => get(`--${e}`)) };
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    hues = layers.map((_, i) => `hsl(${(i * 137.5 + 210) % 360} ${dark ? "60% 62%" : "58% 48%"})`);
  };
  const fit = (c, height) => {
    const wide = c.clientWidth, scale = devicePixelRatio || 1;
    c.width = Math.round(wide * scale); c.height = Math.round(height * scale); c.style.height = `${height}px`;
    const g = c.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, wide, height);
    g.font = "11.5px system-ui, sans-serif";
    return [g, wide];
  };
  const layout = () => {
    let y = AXIS, last = -1;
    const shown = [];
    for (const lane of rows) {
      if (hidden.has(lane.engine)) continue;
      if (lane.tile !== last) { y += last < 0 ? 0 : BAND; last = lane.tile; shown.push({ label: `tile ${lane.tile}`, y }); }
      shown.push({ lane, y });
      y += LANE + GAP;
    }
    return { shown, height: y + 6 };
  };
  const lower = (list, x) => { // first index with list[i] > x
    let a = 0, b = list.length;
    while (a < b) { const m = (a + b) >> 1; if (list[m] > x) b = m; else a = m + 1; }
    return a;
  };
  const step = (span) => {
    const rough = span / 8, p = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((k) => k * p).find((s) => s >= rough);
  };
  let placed = { shown: [], height: 0 }, queued = false;
  const draw = () => {
    queued = false;
    placed = layout();
    const [g, wide] = fit(canvas, placed.height);
    const inner = wide - GUTTER, scale = inner / (view.to - view.from);
    const gap = step((view.to - view.from) * tick);
    g.textBaseline = "middle";
    for (let t = Math.ceil((view.from * tick) / gap) * gap; t <= view.to * tick; t += gap) {
      const x = GUTTER + (t / tick - view.from) * scale;
      g.fillStyle = colours.grid; g.fillRect(x, AXIS - 4, 1, placed.height);
      g.fillStyle = colours.soft; g.textAlign = x > wide - 40 ? "right" : "center"; g.fillText(t ? time(t) : "0", x, 9);
    }
    g.textAlign = "left";
    for (const { label, lane, y } of placed.shown) {
      if (label) { g.fillStyle = colours.soft; g.fillText(label, 2, y + 10); continue; }
      g.fillStyle = colours.grid; g.fillRect(GUTTER, y, inner, LANE);
      const base = colours.engines[lane.engine];
      let drawn = -1; // pixels already covered, so that many short spans cost one rectangle
      for (let i = lower(lane.end, view.from); i < lane.n && lane.start[i] < view.to; i++) {
        const a = Math.max(GUTTER, GUTTER + (lane.start[i] - view.from) * scale);
        const b = Math.min(wide, GUTTER + (lane.end[i] - view.from) * scale);
        if (b <= drawn && lane.layer[i] !== chosen) continue;
        const long = lane.end[i] - lane.start[i];
        const fill = long ? 0.3 + 0.7 * (lane.busy[i] / long) : 1;
        g.globalAlpha = (chosen >= 0 && lane.layer[i] !== chosen ? 0.16 : 1) * fill;
        g.fillStyle = byLayer ? hues[lane.layer[i]] : base;
        const w = Math.max(b - a, 0.7);
        g.fillRect(a, y, b - a > 4 ? w - 0.5 : w, LANE);
        drawn = Math.floor(a + w);
      }
      g.globalAlpha = 1;
    }
    drawOverview();
  };
  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };

  // The overview: how busy the matrix engines and DRAM are, over the whole run.
  const BINS = 480;
  const profile = (key, of) => {
    const out = new Float64Array(BINS), w = whole / BINS;
    for (const lane of rows) {
      if (!key.includes(engines[lane.engine])) continue;
      for (let i = 0; i < lane.n; i++) {
        const long = Math.max(lane.end[i] - lane.start[i], 1e-9), rate = of(lane, i) / long;
        for (let b = Math.floor(lane.start[i] / w); b < BINS && b * w < lane.end[i]; b++)
          out[b] += rate * (Math.min(lane.end[i], (b + 1) * w) - Math.max(lane.start[i], b * w)) / w;
      }
    }
    return out;
  };
  const matrixUse = profile(["matrix"], (l, i) => l.busy[i]).map((v) => v / tiles);
  const perTick = data.dramPeak * tick * 1e-12; // bytes of DRAM a tick at its peak
  const dramUse = profile(["read", "write"], (l, i) => l.bytes[i]).map((v) => v / perTick);
  const drawOverview = () => {
    const H = 54, [g, wide] = fit(overview, H), inner = wide - GUTTER;
    g.fillStyle = colours.grid; g.fillRect(GUTTER, 0, inner, H);
    const area = (values, colour, alpha) => {
      g.beginPath(); g.moveTo(GUTTER, H);
      values.forEach((v, i) => { const y = H - Math.min(v, 1) * (H - 3); g.lineTo(GUTTER + (i / BINS) * inner, y); g.lineTo(GUTTER + ((i + 1) / BINS) * inner, y); });
      g.lineTo(wide, H); g.closePath(); g.globalAlpha = alpha; g.fillStyle = colour; g.fill(); g.globalAlpha = 1;
    };
    area(matrixUse, colours.engines[engines.indexOf("matrix")] || colours.accent, 0.75);
    area(dramUse, colours.engines[engines.indexOf("read")] || colours.accent, 0.5);
    g.fillStyle = colours.soft; g.textAlign = "left"; g.textBaseline = "middle";
    g.fillText("100 %", 2, 7); g.fillText("0", 2, H - 6);
    const a = GUTTER + (view.from / whole) * inner, b = GUTTER + (view.to / whole) * inner;
    g.globalAlpha = 0.5; g.fillStyle = colours.line; g.fillRect(GUTTER, 0, a - GUTTER, H); g.fillRect(b, 0, wide - b, H); g.globalAlpha = 1;
    g.strokeStyle = colours.accent; g.lineWidth = 1.5; g.strokeRect(a + 0.75, 0.75, Math.max(b - a - 1.5, 2), H - 1.5);
  };

  // --- moving about ------------------------------------------------------------
  const show = (from, to) => {
    const span = Math.min(whole, Math.max(to - from, 4));
    const start = Math.min(Math.max(from, 0), whole - span);
    view.from = start; view.to = start + span;
    redraw();
  };
  const zoom = (factor, at = (view.from + view.to) / 2) => show(at - (at - view.from) * factor, at + (view.to - at) * factor);
  const pan = (part) => show(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));
  const ticksAt = (c, x, from, to) => from + ((x - c.getBoundingClientRect().left - GUTTER) / (c.clientWidth - GUTTER)) * (to - from);
  canvas.addEventListener("wheel", (e) => {
    if (e.ctrlKey || e.metaKey) { e.preventDefault(); zoom(Math.exp(e.deltaY / 300), ticksAt(canvas, e.clientX, view.from, view.to)); }
    else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) { e.preventDefault(); pan((e.deltaX || e.deltaY) / canvas.clientWidth); }
  }, { passive: false });
  const keys = { ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), 0: () => show(0, whole), Escape: () => choose(-1) };
  canvas.addEventListener("keydown", (e) => { if (keys[e.key] && !e.ctrlKey && !e.metaKey) { e.preventDefault(); keys[e.key](); } });
  let grip = null;
  canvas.addEventListener("pointerdown", (e) => { grip = { x: e.clientX, from: view.from, to: view.to, moved: false }; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointermove", (e) => {
    if (!grip) return hover(e);
    const by = ((e.clientX - grip.x) / (canvas.clientWidth - GUTTER)) * (grip.to - grip.from);
    if (Math.abs(e.clientX - grip.x) > 3) { grip.moved = true; canvas.classList.add("drag"); tip.style.display = "none"; }
    if (grip.moved) show(grip.from - by, grip.to - by);
  });
  canvas.addEventListener("pointerup", (e) => {
    if (grip && !grip.moved) { const hit = spanAt(e); choose(hit ? hit.lane.layer[hit.i] : -1, true); }
    grip = null; canvas.classList.remove("drag");
  });
  canvas.addEventListener("dblclick", (e) => zoom(0.4, ticksAt(canvas, e.clientX, view.from, view.to)));
  canvas.addEventListener("pointerleave", () => { tip.style.display = "none"; });
  let brush = null;
  const brushTo = (e) => {
    const at = ticksAt(overview, e.clientX, 0, whole);
    if (Math.abs(e.clientX - brush.x) > 4) show(Math.min(at, brush.at), Math.max(at, brush.at));
    else { const half = (view.to - view.from) / 2; show(at - half, at + half); }
  };
  overview.addEventListener("pointerdown", (e) => { brush = { x: e.clientX, at: ticksAt(overview, e.clientX, 0, whole) }; overview.setPointerCapture(e.pointerId); brushTo(e); });
  overview.addEventListener("pointermove", (e) => { if (brush) brushTo(e); });
  overview.addEventListener("pointerup", () => { brush = null; });
  $("zoomin").onclick = () => zoom(0.5); $("zoomout").onclick = () => zoom(2); $("zoomall").onclick = () => { choose(-1); show(0, whole); };
  $("colours").onclick = (e) => { byLayer = !byLayer; e.currentTarget.setAttribute("aria-pressed", String(byLayer)); redraw(); };
  document.querySelectorAll(".key").forEach((b) => { b.onclick = () => {
    const e = engines.indexOf(b.dataset.engine);
    if (hidden.has(e)) hidden.delete(e); else hidden.add(e);
    b.setAttribute("aria-pressed", String(!hidden.has(e))); redraw();
  }; });

  // --- what is under the pointer -------------------------------------------------
  const spanAt = (e) => {
    const box = canvas.getBoundingClientRect(), y = e.clientY - box.top;
    if (e.clientX - box.left < GUTTER) return null;
    const row = placed.shown.find((r) => r.lane && y >= r.y && y < r.y + LANE + GAP);
    if (!row) return null;
    const slack = (1.5 * (view.to - view.from)) / (canvas.clientWidth - GUTTER);
    const at = ticksAt(canvas, e.clientX, view.from, view.to), i = lower(row.lane.end, at - slack);
    return i < row.lane.n && row.lane.start[i] <= at + slack ? { lane: row.lane, i } : null;
  };
  const line = (parent, tag, text) => { const el = document.createElement(tag); el.textContent = text; if (tag === "span") el.className = "soft"; parent.append(el); };
  const place = (e) => {
    tip.style.display = "block";
    tip.style.left = `${Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${e.clientY + 18 + tip.offsetHeight > innerHeight ? e.clientY - tip.offsetHeight - 10 : e.clientY + 18}px`;
  };
  const hover = (e) => {
    const hit = spanAt(e);
    if (!hit) { tip.style.display = "none"; return; }
    const { lane, i } = hit, long = (lane.end[i] - lane.start[i]) * tick;
    tip.replaceChildren();
    line(tip, "b", layers[lane.layer[i]].name);
    line(tip, "span", layers[lane.layer[i]].nodes);
    line(tip, "span", lane.count[i] > 1 ? `${lane.count[i].toLocaleString("en-US")} commands, busy ${pct(lane.busy[i] * tick / (long || 1))}; the longest: ${texts[lane.text[i]]}` : texts[lane.text[i]]);
    line(tip, "span", `tile ${lane.tile}, ${engines[lane.engine]} · ${time(long)} from ${time(lane.start[i] * tick)}${lane.bytes[i] ? ` · ${bytes(lane.bytes[i])}` : ""}`);
    place(e);
  };

  // --- layers: choose, sort, search ------------------------------------------------
  const body = document.querySelector("#layers tbody"), trs = [...body.rows];
  const choose = (layer, scroll) => {
    chosen = layer === chosen ? -1 : layer;
    for (const tr of trs) tr.classList.toggle("on", Number(tr.dataset.layer) === chosen);
    const tr = trs.find((t) => Number(t.dataset.layer) === chosen);
    if (tr && scroll) tr.scrollIntoView({ block: "nearest", behavior: reduced ? "auto" : "smooth" });
    redraw();
  };
  for (const tr of trs) {
    const act = () => {
      choose(Number(tr.dataset.layer));
      if (chosen >= 0) { const a = Number(tr.dataset.start) / tick, b = Number(tr.dataset.end) / tick, pad = (b - a) * 0.08; show(a - pad, b + pad); }
    };
    tr.onclick = act;
    tr.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); act(); } };
  }
  document.querySelectorAll("#layers th button").forEach((b, column) => { b.onclick = () => {
    const th = b.parentElement, down = th.getAttribute("aria-sort") !== "descending";
    document.querySelectorAll("#layers th").forEach((t) => t.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (tr) => { const v = tr.cells[column].dataset.v; return Number.isNaN(Number(v)) ? v : Number(v); };
    trs.sort((x, y) => { const a = value(x), b = value(y), order = a < b ? -1 : a > b ? 1 : 0; return down ? -order : order; });
    body.append(...trs);
  }; });
  $("find").oninput = (e) => {
    const word = e.target.value.toLowerCase();
    for (const tr of trs) tr.hidden = !tr.textContent.toLowerCase().includes(word);
  };
  document.querySelectorAll(".dotlayer").forEach((dot) => { dot.onclick = () => { choose(Number(dot.dataset.layer), true); }; });

  // --- the floorplan's engine ---------------------------------------------------------
  const buttons = [...document.querySelectorAll("[data-plan]")];
  for (const b of buttons) b.onclick = () => {
    const e = engines.indexOf(b.dataset.plan);
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === b)));
    document.querySelectorAll("#plan .tile").forEach((g) => {
      const u = util[Number(g.dataset.tile)][e];
      g.style.setProperty("--u", u); g.style.setProperty("--hue", `var(--${engines[e]})`);
      g.querySelector(".pct").textContent = pct(u);
    });
  };

  readColours(); draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
  new ResizeObserver(redraw).observe(canvas.parentElement);
})();
