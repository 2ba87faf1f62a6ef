'use strict';
const NS = 'http://www.w3.org/2000/svg';
const COLORS = ['#2f6db5', '#d9822b', '#3d9a5f', '#8a5fbf', '#c2476b', '#3a9fb0', '#8c7b3f', '#6b7785', '#b5552f', '#5a8f29'];
const color = i => COLORS[i % COLORS.length];

function put(parent, tag, attrs, text) {
  const e = parent.namespaceURI === NS || tag === 'svg' ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const k in attrs || {}) e.setAttribute(k, attrs[k]);
  if (text !== undefined) e.textContent = text;
  parent.appendChild(e);
  return e;
}

function show(n) {
  if (n === 0) return '0';
  const a = Math.abs(n);
  return a >= 100 ? n.toFixed(0) : a >= 10 ? String(+n.toFixed(1)) : String(+n.toPrecision(3));
}

function time(s) {
  if (s < 1) return show(s * 1000) + ' ms';
  if (s < 120) return show(s) + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' min' + (s % 60 >= 1 ? ' ' + Math.floor(s % 60) + ' s' : '');
  if (s < 172800) return Math.floor(s / 3600) + ' h' + (s % 3600 >= 60 ? ' ' + Math.floor(s % 3600 / 60) + ' min' : '');
  return Math.floor(s / 86400) + ' d' + (s % 86400 >= 3600 ? ' ' + Math.floor(s % 86400 / 3600) + ' h' : '');
}

// A round step so that at most `n` of them fit into `max`.
function step(max, n, isTime) {
  const units = isTime && max / n > 1 ? [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400] : [];
  for (const u of units) if (max / u <= n) return u;
  const p = Math.pow(10, Math.floor(Math.log10(max / n)));
  for (const m of [1, 2, 5, 10]) if (max / (m * p) <= n) return m * p;
  return 10 * p;
}

function timeAxis(svg, left, right, y, top) {
  const st = step(span, Math.max(1, Math.floor((right - left) / 90)), true);
  for (let s = 0; s <= span * 1.0001; s += st) {
    const x = left + (right - left) * s / span;
    put(svg, 'line', {class: 'axis', x1: x, x2: x, y1: top, y2: y});
    const anchor = x + 40 > right ? 'end' : s === 0 ? 'start' : 'middle';
    if (anchor !== 'end' || s === 0 || (right - left) / (span / st) > 70) put(svg, 'text', {x: x, y: y + 14, 'text-anchor': anchor}, s === 0 ? '0' : time(s));
  }
}

// Lines that step; legend entries switch them off.
function stepChart(id, series) {
  const box = document.getElementById(id);
  const off = new Set();
  const plot = put(box, 'div', {class: 'chart'});
  const tip = put(plot, 'div', {class: 'tip'});
  const legend = put(box, 'ul', {class: 'legend'});
  series.forEach((s, i) => {
    const b = put(put(legend, 'li'), 'button', {type: 'button'});
    put(b, 'i', {class: 'swatch', style: 'background:' + color(i)});
    put(b, 'span', {}, s.name);
    b.onclick = () => { b.classList.toggle('off'); off.has(i) ? off.delete(i) : off.add(i); draw(); };
  });
  function at(points, s) {
    let v = 0;
    for (const p of points) { if (p[0] > s) break; v = p[1]; }
    return v;
  }
  function draw() {
    plot.querySelectorAll('svg').forEach(e => e.remove());
    const w = plot.clientWidth, h = 280, left = 42, right = w - 8, top = 10, bottom = h - 22;
    let max = 0;
    series.forEach((s, i) => { if (!off.has(i)) s.points.forEach(p => { max = Math.max(max, p[1]); }); });
    max = max || 1;
    const svg = put(plot, 'svg', {width: w, height: h, role: 'img'});
    const st = step(max * 1.05, 6, false);
    for (let v = 0; v <= max * 1.05; v += st) {
      const y = bottom - (bottom - top) * v / (max * 1.05);
      put(svg, 'line', {class: 'axis', x1: left, x2: right, y1: y, y2: y});
      put(svg, 'text', {x: left - 6, y: y + 4, 'text-anchor': 'end'}, show(v));
    }
    timeAxis(svg, left, right, bottom, top);
    series.forEach((s, i) => {
      if (off.has(i) || s.points.length === 0) return;
      let d = '', last = bottom;
      s.points.forEach(p => {
        const x = (left + (right - left) * p[0] / span).toFixed(1), y = (bottom - (bottom - top) * p[1] / (max * 1.05)).toFixed(1);
        d += d === '' ? 'M' + x + ' ' + y : 'H' + x + 'V' + y;
        last = y;
      });
      put(svg, 'path', {d: d, fill: 'none', stroke: color(i), 'stroke-width': 1.8});
    });
    svg.onmousemove = e => {
      const s = (e.offsetX - left) / (right - left) * span;
      if (s < 0 || s > span) { tip.style.display = 'none'; return; }
      tip.textContent = '';
      put(tip, 'div', {class: 'soft'}, 'after ' + time(s));
      series.forEach((x, i) => { if (!off.has(i)) put(tip, 'div', {}, x.name + ': ' + show(at(x.points, s))); });
      tip.style.display = 'block';
      tip.style.left = Math.max(0, Math.min(e.offsetX + 12, w - tip.offsetWidth)) + 'px';
      tip.style.top = '12px';
    };
    svg.onmouseleave = () => { tip.style.display = 'none'; };
  }
  return draw;
}

// One row per worker: its tasks as boxes on as many lines as ran at once, or how many ran as shades.
function lanes(id) {
  const box = document.getElementById(id);
  const grid = put(box, 'div', {class: 'lanes'});
  const drawn = workers.map(w => {
    put(grid, 'span', {title: w.title}, w.name);
    return put(grid, 'div', {});
  });
  put(grid, 'span');
  const axis = put(grid, 'div', {});
  const byWorker = new Map(workers.map(w => [w.id, []]));
  runs.forEach(r => { const list = byWorker.get(r[2]); if (list) list.push(r); });
  byWorker.forEach(list => {
    const free = [];
    list.sort((a, b) => a[3] - b[3]);
    list.forEach(r => {
      let k = free.findIndex(t => t <= r[3]);
      if (k < 0) k = free.push(0) - 1;
      free[k] = r[4];
      r[6] = k;
    });
    list.lanes = free.length;
  });
  const top = Math.max(...workers.map(w => Math.max(0, ...(w.heat || []))), 0.001);
  return () => workers.forEach((w, i) => {
    const cell = drawn[i], list = byWorker.get(w.id), width = Math.max(cell.clientWidth, 60);
    const lane = list.lanes > 0 ? Math.max(2, Math.min(10, Math.floor(160 / list.lanes))) : 10;
    const height = w.heat ? 16 : Math.max(1, list.lanes) * lane + 4;
    cell.textContent = '';
    const svg = put(cell, 'svg', {width: width, height: height});
    const x = s => width * s / span;
    put(svg, 'rect', {x: x(w.from), y: 0, width: Math.max(1, x(w.until - w.from)), height: height, fill: 'var(--line)', opacity: .35});
    if (w.heat) {
      const cw = width / w.heat.length;
      w.heat.forEach((v, k) => {
        if (v > 0) put(put(svg, 'rect', {x: k * cw, y: 1, width: cw + .3, height: height - 2, fill: 'var(--bar)', opacity: .15 + .85 * v / top}),
          'title', {}, show(v) + ' tasks');
      });
    } else {
      list.forEach(r => {
        const a = {x: x(r[3]), y: 2 + r[6] * lane, width: Math.max(.8, x(r[4] - r[3]) - .3), height: Math.max(1, lane - 1), rx: 1, fill: color(r[0])};
        if (r[5] !== 0) a.style = r[5] === 1 ? 'fill:#d33' : 'opacity:.4';
        put(put(svg, 'rect', a), 'title', {}, 'task ' + r[0] + '@' + r[1] + ', ' + time(r[4] - r[3]) + ['', ', failed', ', cut short'][r[5]]);
      });
    }
    if (i === 0) {
      axis.textContent = '';
      timeAxis(put(axis, 'svg', {width: width, height: 18}), 0, width, 2, 0);
    }
  });
}

function counts(id) {
  const rows = put(document.getElementById(id), 'div', {class: 'rows'});
  const max = Math.max(1, ...finished_tasks, ...failed_tasks);
  task_classes.forEach((c, i) => [['Finished', finished_tasks[i], ''], ['Failed', failed_tasks[i], 'background:#d33;']].forEach(([word, n, style]) => {
    put(rows, 'span', {}, word + ' ' + c.id);
    put(put(rows, 'div'), 'div', {class: 'bar', style: style + 'width:' + (100 * n / max) + '%' + (n === 0 ? ';min-width:0' : '')});
    put(rows, 'span', {class: 'n'}, String(n));
  }));
}

function durations(id) {
  const rows = put(document.getElementById(id), 'div', {class: 'rows'});
  const max = Math.max(.001, ...durationsData.map(d => d.max));
  const cells = durationsData.map(d => {
    put(rows, 'span', {}, d.name);
    const cell = put(rows, 'div', {title: 'from ' + time(d.min) + ' to ' + time(d.max) + ', half between ' + time(d.q1) + ' and ' + time(d.q3)});
    put(rows, 'span', {class: 'n'}, time(d.median));
    return cell;
  });
  return () => cells.forEach((cell, i) => {
    const d = durationsData[i], w = Math.max(cell.clientWidth, 40), x = s => 1 + (w - 3) * s / max;
    cell.textContent = '';
    const svg = put(cell, 'svg', {width: w, height: 18});
    put(svg, 'line', {x1: x(d.min), x2: x(d.max), y1: 9, y2: 9, stroke: 'var(--soft)'});
    [d.min, d.max].forEach(v => put(svg, 'line', {x1: x(v), x2: x(v), y1: 5, y2: 13, stroke: 'var(--soft)'}));
    put(svg, 'rect', {x: x(d.q1), y: 3, width: Math.max(1, x(d.q3) - x(d.q1)), height: 12, fill: 'var(--bar)', opacity: .75});
    put(svg, 'line', {x1: x(d.median), x2: x(d.median), y1: 2, y2: 16, stroke: 'var(--fg)', 'stroke-width': 2});
  });
}

function classes(id) {
  const list = put(document.getElementById(id), 'ul', {class: 'legend'});
  task_classes.forEach(c => put(list, 'li', {}, c.id + ' = ' + c.text));
}

const redraw = [stepChart('globalChart', [{name: 'Queued workers', points: queued_workers}].concat(running_workers, utilization))];
if (workers.length > 0) redraw.push(lanes('lanesChart'));
counts('countsChart');
classes('countsLegend');
redraw.push(durations('durationsChart'));
classes('durationsLegend');
const drawAll = () => redraw.forEach(f => f());
let width = 0;
new ResizeObserver(() => { if (document.body.clientWidth !== width) { width = document.body.clientWidth; drawAll(); } }).observe(document.body);
drawAll();
