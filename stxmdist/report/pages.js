"use strict";
// The table of particles of a page: it sorts, filters, and shows the spectrum of the particle that is chosen.
const stxmdist = (() => {
  const STEP = 200, MOST_PRINTED = 5000;
  const at = (id) => document.getElementById(id);
  const folder = document.body.dataset.scans;
  const spectra = new Map(), waiting = new Map();
  let data = null, order = [], shown = STEP, sorted = -1, down = false, chosen = "";

  const put = (name, parent, text, attributes) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };
  const cell = (column, row) => data.rows[column][row];
  const words = (value) => value === null || value === "" ? "–" : String(value).replace("-", typeof value === "number" ? "−" : "-");
  const place = (name) => data.columns.findIndex((column) => column.name === name);

  const test = (part) => {
    const found = /^(\w+)(<=|>=|=|<|>)(.+)$/.exec(part);
    const column = found ? place(found[1]) : -1;
    if (column < 0) {
      const wanted = part.toLowerCase();
      const within = data.columns.map((each, i) => each.words ? i : -1).filter((i) => i >= 0);
      return (row) => within.some((i) => String(cell(i, row)).toLowerCase().includes(wanted));
    }
    const [, , sign, text] = found;
    if (data.columns[column].words) return (row) => String(cell(column, row)).toLowerCase() === text.toLowerCase();
    const bound = Number(text.replace("−", "-"));
    const compare = { "<": (a) => a < bound, ">": (a) => a > bound, "<=": (a) => a <= bound, ">=": (a) => a >= bound, "=": (a) => a === bound }[sign];
    return (row) => cell(column, row) !== null && compare(cell(column, row));
  };

  const choose = () => {
    const tests = at("filter").value.split(/[\s,]+/).filter(Boolean).map(test);
    const n = data.rows.length ? data.rows[0].length : 0;
    order = [];
    for (let row = 0; row < n; row++) if (tests.every((each) => each(row))) order.push(row);
    if (sorted >= 0) {
      const sign = down ? -1 : 1, isWords = data.columns[sorted].words;
      order.sort((a, b) => {
        const one = cell(sorted, a), other = cell(sorted, b);
        // What is not known comes last, whichever way it is sorted.
        if (one === null || other === null) return (one === null) - (other === null) || a - b;
        return sign * (isWords ? one.localeCompare(other, undefined, { numeric: true }) : one - other) || a - b;
      });
    }
    at("count").textContent = order.length + " of " + n;
    shown = STEP;
    fill();
  };

  const fill = () => {
    const body = at("particles").tBodies[0];
    const scan = place("scan_id"), number = place("particle_id");
    const rows = order.slice(0, shown).map((row) => {
      const line = put("tr");
      line.dataset.particle = cell(scan, row) + "/" + cell(number, row);
      line.setAttribute("aria-selected", line.dataset.particle === chosen);
      data.columns.forEach((column, i) => {
        const box = put("td", line, i === number ? undefined : words(cell(i, row)), { "data-head": column.name });
        if (!column.words) box.className = "number";
        if (i === number) put("button", box, cell(i, row), { type: "button", "aria-label": "spectrum of particle " + cell(i, row) });
      });
      return line;
    });
    body.replaceChildren(...rows);
    at("more").hidden = shown >= order.length;
  };

  const head = () => {
    const line = put("tr");
    data.columns.forEach((column, i) => {
      const box = put("th", line, undefined, { scope: "col", title: column.meaning, "aria-sort": "none" });
      if (!column.words) box.className = "number";
      box.dataset.column = column.name;
      const told = !column.unit || column.unit === "1" || column.name.endsWith("_" + column.unit);
      // Long names may be broken after a line.
      const text = column.name.replaceAll("_", "_\u200b") + (told ? "" : " (" + column.unit + ")");
      put("button", box, text, { type: "button" }).addEventListener("click", () => {
        down = sorted === i ? !down : false;
        sorted = i;
        for (const each of line.cells) each.setAttribute("aria-sort", "none");
        box.setAttribute("aria-sort", down ? "descending" : "ascending");
        choose();
      });
    });
    at("particles").tHead.replaceChildren(line);
  };

  const open = (name) => {
    chosen = name;
    for (const line of at("particles").tBodies[0].rows) line.setAttribute("aria-selected", line.dataset.particle === name);
    const cut = name.lastIndexOf("/"), scan = name.slice(0, cut), particle = name.slice(cut + 1);
    if (!(scan in data.files)) return;
    history.replaceState(null, "", "#" + encodeURI(name));
    const file = folder + encodeURIComponent(data.files[scan]);
    const show = () => detail(scan, particle, file);
    if (spectra.has(scan)) return show();
    waiting.set(scan, show);
    const script = put("script", document.head, undefined, { src: file + ".js" });
    script.addEventListener("error", () => { waiting.delete(scan); detail(scan, particle, file); });
  };

  const detail = (scan, particle, file) => {
    const box = at("detail");
    box.hidden = false;
    box.replaceChildren();
    put("h3", box, scan + ", particle " + particle);
    const found = spectra.has(scan) ? spectra.get(scan).particles[particle] : undefined;
    if (found) box.append(draw(spectra.get(scan).energy_ev, ...found));
    else put("p", box, "Of this particle there is no spectrum: its scan is not fitted, or the file " + file + ".js is not in this folder.");
    const line = put("p", box);
    put("code", line, 'campaign.particle("' + scan + '", ' + particle + ").spectrum");
    line.append(" · ");
    put("a", line, "page of the scan", { href: file + ".html#" + encodeURI(scan + "/" + particle) });
    if (box.scrollIntoView) box.scrollIntoView({ block: "nearest" });
  };

  const drawn = (name, parent, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const nice = (low, high, n) => {
    const rough = (high - low) / n, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const ticks = [];
    for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + 1e-9 * step; tick += step) ticks.push(Number(tick.toPrecision(10)));
    return ticks;
  };

  const draw = (energy, od, se, fit) => {
    const svg = drawn("svg", document.createElement("div"), { viewBox: "0 0 640 400", role: "img", "aria-label": "Optical density over photon energy with two standard errors, its fit, and the residual", "font-size": "12", fill: "currentColor" });
    const left = 70, right = 630;
    const known = (values) => values.filter((value) => value !== null);
    const spread = (values) => {
      let low = Math.min(...values), high = Math.max(...values);
      if (!(high > low)) { low -= 0.5; high += 0.5; }
      return [low - 0.06 * (high - low), high + 0.06 * (high - low)];
    };
    const [first, last] = spread(energy);
    const x = (value) => left + (right - left) * (value - first) / (last - first);
    const residual = od.map((value, i) => value === null || fit[i] === null ? null : value - fit[i]);
    const panel = (top, bottom, values, title, line) => {
      const ends = known(values.flatMap((value, i) => value === null ? [] : [value - 2 * (se[i] || 0), value + 2 * (se[i] || 0)]).concat(line ? fit : [0]));
      const [low, high] = spread(ends.length ? ends : [0]);
      const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
      drawn("path", svg, { d: `M${left},${top}V${bottom}H${right}`, fill: "none", stroke: "currentColor" });
      for (const tick of nice(low, high, line ? 5 : 3)) {
        drawn("path", svg, { d: `M${left - 4},${y(tick)}H${left}`, stroke: "currentColor" });
        drawn("text", svg, { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, String(tick).replace("-", "−"));
      }
      drawn("text", svg, { x: 13, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${(top + bottom) / 2})` }, title);
      if (line) {
        const points = energy.map((each, i) => fit[i] === null ? null : x(each) + "," + y(fit[i]));
        drawn("polyline", svg, { points: known(points).join(" "), fill: "none", stroke: "var(--mark)", "stroke-width": 2, class: "fit" });
      } else drawn("path", svg, { d: `M${left},${y(0)}H${right}`, stroke: "var(--soft)", "stroke-dasharray": "3 3" });
      values.forEach((value, i) => {
        if (value === null) return;
        if (se[i] !== null) drawn("path", svg, { d: `M${x(energy[i])},${y(value - 2 * se[i])}V${y(value + 2 * se[i])}`, stroke: "currentColor" });
        drawn("circle", svg, { cx: x(energy[i]), cy: y(value), r: 2.6 });
      });
    };
    panel(12, 250, od, "optical density", true);
    panel(272, 348, residual, "residual", false);
    for (const tick of nice(first, last, 6)) {
      drawn("path", svg, { d: `M${x(tick)},348V352`, stroke: "currentColor" });
      drawn("text", svg, { x: x(tick), y: 367, "text-anchor": "middle" }, String(tick));
    }
    drawn("text", svg, { x: (left + right) / 2, y: 390, "text-anchor": "middle" }, "photon energy (eV)");
    return svg;
  };

  return {
    table(given) {
      data = given;
      head();
      choose();
      at("filter").addEventListener("input", choose);
      at("more").addEventListener("click", () => { shown += STEP; fill(); });
      at("particles").tBodies[0].addEventListener("click", (event) => {
        const line = event.target.closest("tr");
        if (line) open(line.dataset.particle);
      });
      // On paper the table is whole, as far as paper goes.
      addEventListener("beforeprint", () => { shown = Math.max(shown, MOST_PRINTED); fill(); });
      if (location.hash.length > 1) open(decodeURI(location.hash.slice(1)));
    },
    spectra(given) {
      spectra.set(given.scan_id, given);
      const show = waiting.get(given.scan_id);
      waiting.delete(given.scan_id);
      if (show) show();
    },
  };
})();
// A page that holds its own rows gives them as data: where it is served, no script stands in it.
{
  const held = document.getElementById("rows");
  if (held) stxmdist.table(JSON.parse(held.textContent));
}
