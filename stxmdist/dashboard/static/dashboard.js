/* The script of every page: maps made of tiles, figures, the energy slider, parts that are loaded, and what is new.
   Without it every page still works: each state is an address, and each control is a link or a form. */
"use strict";
(() => {
  const state = new URLSearchParams(location.search);
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Change some of the state and the address with it; null takes a name out. */
  function change(changes) {
    for (const [name, value] of Object.entries(changes)) value === null ? state.delete(name) : state.set(name, value);
    const query = state.toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : ""));
  }

  /* ---- figures: placeholders of colours become those of the page ---------------------------------------------- */
  const COLOURS = { "#010101": "--ink", "#020202": "--soft", "#030303": "--line", "#040404": "--panel", "#050505": "--mark",
    "#0000c0": "--c0", "#0000c1": "--c1", "#0000c2": "--c2", "#0000c3": "--c3", "#0000c4": "--c4", "#0000c5": "--c5" };
  const coloured = (text) => text.replace(/#0[1-5]0[1-5]0[1-5]|#0000c[0-5]/g, (found) => css(COLOURS[found]) || found);

  async function embed(box) {
    const text = $("script[type='application/json']", box.parentElement);
    if (!text || !window.Bokeh || box.dataset.done === "yes") return;
    box.dataset.done = "yes";
    box.replaceChildren();
    const [view] = await Bokeh.embed.embed_item(JSON.parse(coloured(text.textContent)), box).then((views) =>
      views.roots ?? (Symbol.iterator in views ? [...views] : [views]));
    const document_ = view?.model?.document ?? Bokeh.documents.at(-1);
    energyLine(document_);
    const points = document_?.get_model_by_name("points");
    if (points) points.selected.properties.indices.change.connect(() => picked(box, points));
    const area = document_?.get_model_by_name("choose");
    // Set as a whole: only then does the model ask its document for events.
    if (area) area.js_event_callbacks = { selectiongeometry: [(event) => { if (event.final) shaped(box, event.geometry); }] };
    performance.mark("stxmdist-figure");
  }

  /** A box or a lasso was drawn: its corners go into the address, and a part shows what lies in it, drawn or not. */
  function shaped(box, { type, x, y, x0, x1, y0, y1 }) {
    if (type !== "rect" && type !== "poly") return;
    const [part, into, key] = box.dataset.selects.split(" ");
    const [xs, ys] = type === "rect" ? [[x0, x1, x1, x0], [y0, y0, y1, y1]] : [[...x], [...y]];
    const step = Math.max(1, Math.ceil(xs.length / 40));
    const corners = xs.flatMap((each, i) => (i % step ? [] : [each.toPrecision(4), ys[i].toPrecision(4)]));
    if (corners.length < 6) return;
    change({ [key]: corners.join(","), size_low: null, size_high: null, soc_low: null, soc_high: null });
    load(part, document.getElementById(into));
  }

  /** Points of a figure were chosen: one leads to its page, several are shown by the part that the figure names. */
  function picked(box, points) {
    const chosen = [...points.selected.indices];
    const part = box.dataset.selects;
    if (part && chosen.length) {
      const [address, into, key] = part.split(" ");
      change({ [key]: chosen.map((i) => points.data.key[i]).join(",") });
      load(address, document.getElementById(into));
    } else if (chosen.length === 1 && points.data.address) location.href = points.data.address[chosen[0]];
  }

  const onSight = new IntersectionObserver((seen) => {
    for (const each of seen) if (each.isIntersecting) { onSight.unobserve(each.target); embed(each.target); }
  }, { rootMargin: "300px" });

  /* ---- maps ------------------------------------------------------------------------------------------------------ */
  const maps = new Set();

  class TileMap {
    constructor(figure) {
      this.figure = figure;
      this.box = $(".view", figure);
      this.canvas = $("canvas", figure);
      this.about = JSON.parse(figure.dataset.map);
      this.group = figure.dataset.group;
      this.energy = this.about.energy;
      this.kept = new Map();
      this.fit();
      if (state.has("wide") && !this.about.focus) Object.assign(this, { cx: +state.get("cx"), cy: +state.get("cy"), wide: +state.get("wide") });
      new ResizeObserver(() => this.draw()).observe(this.box);
      this.listen();
    }
    get peers() { return this.group ? [...maps].filter((map) => map.group === this.group) : [this]; }
    get scale() { return this.box.clientWidth / this.wide; }  // css pixels per um
    fit() {
      const { rows, columns, x0_um, y0_um, dx_um, dy_um, focus } = this.about;
      const ratio = (this.box.clientWidth || 1) / (this.box.clientHeight || 1);
      if (focus) { [this.cx, this.cy] = focus; this.wide = focus[2] * Math.max(1, ratio); return; }
      const width = columns * Math.abs(dx_um), height = rows * Math.abs(dy_um);
      this.cx = x0_um + dx_um * (columns - 1) / 2;
      this.cy = y0_um + dy_um * (rows - 1) / 2;
      this.wide = 1.02 * Math.max(width, height * ratio);
    }
    toScreen(x, y) {
      return [(x - this.cx) * this.scale + this.box.clientWidth / 2, (this.cy - y) * this.scale + this.box.clientHeight / 2];
    }
    toSample(px, py) {
      return [this.cx + (px - this.box.clientWidth / 2) / this.scale, this.cy - (py - this.box.clientHeight / 2) / this.scale];
    }
    moveTo(cx, cy, wide) {
      for (const map of this.peers) { Object.assign(map, { cx, cy, wide }); map.draw(); }
      clearTimeout(this.later);
      this.later = setTimeout(() => change({ cx: cx.toPrecision(6), cy: cy.toPrecision(6), wide: wide.toPrecision(4) }), 250);
    }
    zoom(factor, px = this.box.clientWidth / 2, py = this.box.clientHeight / 2) {
      const [x, y] = this.toSample(px, py);
      const pixel = Math.abs(this.about.dx_um);
      const wide = Math.min(Math.max(this.wide * factor, 8 * pixel), 3 * this.about.columns * pixel);
      const f = wide / this.wide;
      this.moveTo(x + (this.cx - x) * f, y + (this.cy - y) * f, wide);
    }
    listen() {
      let from = null, moved = 0;
      const place = (event) => { const r = this.box.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
      this.box.addEventListener("pointerdown", (event) => { from = place(event); moved = 0; this.box.setPointerCapture(event.pointerId); });
      this.box.addEventListener("pointermove", (event) => {
        if (!from) return;
        const [x, y] = place(event), dx = x - from[0], dy = y - from[1];
        moved += Math.abs(dx) + Math.abs(dy);
        if (moved > 4) { from = [x, y]; this.moveTo(this.cx - dx / this.scale, this.cy + dy / this.scale, this.wide); }
      });
      this.box.addEventListener("pointerup", (event) => {
        if (from && moved <= 4) this.pick(...this.toSample(...place(event)));
        from = null;
      });
      this.box.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && document.activeElement !== this.box) return;
        event.preventDefault();
        this.zoom(Math.exp(event.deltaY / 400), ...place(event));
      }, { passive: false });
      this.box.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? 10 : 1;
        const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (arrows) {
          const at = state.has("x") ? [+state.get("x"), +state.get("y")] : [this.cx, this.cy];
          this.pick(at[0] + arrows[0] * step * Math.abs(this.about.dx_um), at[1] + arrows[1] * step * Math.abs(this.about.dy_um), 150);
        } else if (event.key === "Enter") this.pick(this.cx, this.cy);
        else if (event.key === "+" || event.key === "=") this.zoom(0.7);
        else if (event.key === "-") this.zoom(1 / 0.7);
        else if (event.key === "0") { this.fit(); this.moveTo(this.cx, this.cy, this.wide); change({ cx: null, cy: null, wide: null }); clearTimeout(this.later); }
        else return;
        event.preventDefault();
        event.stopPropagation();
      });
    }
    /** The pixel nearest to a place is chosen, and the part that shows its spectrum is loaded. */
    pick(x, y, wait = 0) {
      const { rows, columns, x0_um, y0_um, dx_um, dy_um } = this.about;
      const column = Math.round((x - x0_um) / dx_um), row = Math.round((y - y0_um) / dy_um);
      if (column < 0 || row < 0 || column >= columns || row >= rows || !this.figure.dataset.part) return;
      change({ x: (x0_um + column * dx_um).toFixed(4), y: (y0_um + row * dy_um).toFixed(4), particle: null });
      for (const map of this.peers) map.draw();
      clearTimeout(this.loading);
      this.loading = setTimeout(() => load(this.figure.dataset.part, document.getElementById(this.figure.dataset.into)), wait);
    }
    tile(base, level, row, column, energy) {
      const address = `${base}&level=${level}&row=${row}&column=${column}&energy=${energy}`;
      let image = this.kept.get(address);
      if (!image) {
        image = new Image();
        image.onload = () => { image.ready = true; this.soon(); };
        image.src = address;
        this.kept.set(address, image);
        if (this.kept.size > 400) this.kept.delete(this.kept.keys().next().value);
      }
      return image;
    }
    soon() { if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); }); }
    layer(context, base, level, energy, fetched = true) {
      const { rows, columns, x0_um, y0_um, dx_um, dy_um, tile_px } = this.about;
      const side = tile_px * 2 ** level, w = this.box.clientWidth, h = this.box.clientHeight;
      const ends = [this.toSample(0, 0), this.toSample(w, h)];
      const span = (i, first, step, n) => {
        const a = ends.map((end) => ((end[i] - first) / step + 0.5) / side).sort((p, q) => p - q);
        return [Math.max(0, Math.floor(a[0])), Math.min(Math.ceil(n / side) - 1, Math.floor(a[1]))];
      };
      const [c0, c1] = span(0, x0_um, dx_um, columns), [r0, r1] = span(1, y0_um, dy_um, rows);
      let all = true;
      for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) {
        const address = `${base}&level=${level}&row=${r}&column=${c}&energy=${energy}`;
        const image = fetched ? this.tile(base, level, r, c, energy) : this.kept.get(address);
        if (!image?.ready) { all = false; continue; }
        const left = x0_um + (c * side - 0.5) * dx_um, right = left + image.naturalWidth * 2 ** level * dx_um;
        const low = y0_um + (r * side - 0.5) * dy_um, high = low + image.naturalHeight * 2 ** level * dy_um;
        const [px, py] = this.toScreen(Math.min(left, right), Math.max(low, high));
        const [qx, qy] = this.toScreen(Math.max(left, right), Math.min(low, high));
        context.drawImage(image, px, py, qx - px, qy - py);
      }
      return all;
    }
    draw() {
      const ratio = devicePixelRatio || 1, w = this.box.clientWidth, h = this.box.clientHeight;
      if (!w || !h) return;
      this.canvas.width = w * ratio; this.canvas.height = h * ratio;
      const context = this.canvas.getContext("2d"), { about } = this;
      context.scale(ratio, ratio);
      context.imageSmoothingEnabled = false;
      const pixel = this.scale * Math.abs(about.dx_um) * ratio;  // screen pixels per pixel of the image
      const level = Math.max(0, Math.min(about.levels, Math.floor(-Math.log2(Math.max(pixel, 1e-9)) + 0.25)));
      for (let coarser = about.levels; coarser > level; coarser--) this.layer(context, about.tiles, coarser, this.energy, false);
      let complete = this.layer(context, about.tiles, level, this.energy);
      if (!complete && this.last !== undefined) { this.layer(context, about.tiles, level, this.last, false); this.layer(context, about.tiles, level, this.energy, false); }
      if (complete) this.last = this.energy;
      if (about.outlines) { context.globalAlpha = 0.75; this.layer(context, about.outlines, level, 0); context.globalAlpha = 1; }
      this.marks(context);
      if (complete && !this.box.classList.contains("drawn")) { this.box.classList.add("drawn"); performance.mark("stxmdist-map"); }
    }
    marks(context) {
      const line = (points, colour, width) => {
        context.strokeStyle = colour; context.lineWidth = width; context.beginPath();
        points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
        context.stroke();
      };
      for (const frame of this.about.frames ?? []) {
        const points = frame.x_um.map((x, i) => this.toScreen(x, frame.y_um[i]));
        line([...points, points[0]], "#000", 3); line([...points, points[0]], "#fff", 1.3);
      }
      if (state.has("x")) {
        const [x, y] = this.toScreen(+state.get("x"), +state.get("y"));
        for (const [colour, width] of [["#fff", 4], [css("--mark"), 2]])
          for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) line([[x + 4 * dx, y + 4 * dy], [x + 12 * dx, y + 12 * dy]], colour, width);
      }
      const wanted = this.box.clientWidth / this.scale / 4, power = 10 ** Math.floor(Math.log10(wanted));
      const length = [5, 2, 1].find((factor) => factor * power <= wanted) * power;
      const h = this.box.clientHeight, text = length >= 0.1 ? `${+length.toPrecision(1)} µm` : `${+(1e3 * length).toPrecision(1)} nm`;
      context.font = "600 11px system-ui, sans-serif";
      line([[12, h - 12], [12 + length * this.scale, h - 12]], "#fff", 6); line([[13, h - 12], [11 + length * this.scale, h - 12]], "#000", 3);
      context.lineWidth = 3; context.strokeStyle = "#fff"; context.fillStyle = "#000";
      context.strokeText(text, 12, h - 20); context.fillText(text, 12, h - 20);
    }
  }

  /* ---- energies -------------------------------------------------------------------------------------------------- */
  const shownEnergy = () => state.get("energy") ?? $("[data-energies]")?.dataset.shown;
  function energyLine(document_) {
    for (const name of ["energy", "energy-below"]) {
      const line = document_?.get_model_by_name(name);
      if (line && shownEnergy()) line.location = +shownEnergy();
    }
  }
  function slider(box) {
    const energies = JSON.parse(box.dataset.energies), input = $("input", box), output = $("output", box);
    input.addEventListener("input", () => {
      const i = +input.value;
      output.value = `${energies[i].toFixed(2)} eV`;
      input.setAttribute("aria-valuetext", output.value);
      change({ energy: energies[i].toFixed(3) });
      for (const map of maps) if (map.about.energies_ev?.length === energies.length) { map.energy = i; map.draw(); }
      for (const each of window.Bokeh?.documents ?? []) energyLine(each);
    });
  }

  /* ---- parts ------------------------------------------------------------------------------------------------------ */
  async function load(part, into) {
    if (!into) return;
    const mine = (into.asked = {});
    into.classList.add("busy");
    const began = performance.now();
    try {
      const answer = await fetch(`${part}?${state}`, { headers: { accept: "text/html" } });
      const html = await answer.text();
      if (into.asked !== mine) return;
      into.innerHTML = answer.ok ? html : `<p class="absent"></p>`;
      if (!answer.ok) $(".absent", into).textContent = new DOMParser().parseFromString(html, "text/html").querySelector("main p")?.textContent ?? "The server refused.";
      wake(into);
      for (const box of $$(".plot .canvas", into)) await embed(box);
      into.dataset.seconds = ((performance.now() - began) / 1e3).toFixed(3);
      performance.mark("stxmdist-part");
    } catch { if (into.asked === mine) into.innerHTML = `<p class="absent">The server does not answer.</p>`; }
    if (into.asked === mine) into.classList.remove("busy");
  }

  /* ---- what is new -------------------------------------------------------------------------------------------------- */
  let silent = 0, looked = Date.now(), version = document.body.dataset.version;
  const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  function live(text, old = false) { const box = $("[data-live]"); if (box && box.textContent !== text) { box.textContent = text; box.classList.toggle("old", old); } }

  async function renew() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.id, at = scrollY;
    for (const selector of ["main", "footer"]) $(selector).replaceWith($(selector, fresh));
    maps.clear();
    wake(document);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    scrollTo(0, at);
    live(`renewed ${clock(Date.now())}`);
  }
  async function look() {
    if (document.hidden || !version) return;
    try {
      const answer = await fetch("version", { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      const found = (await answer.json()).version;
      silent = 0; looked = Date.now();
      const busy = document.activeElement?.matches("input:not([type=range]), select, textarea") || $("form[data-changed]");
      if (found === version) { if ($("[data-live]").textContent === "" || $("[data-live]").classList.contains("old")) live("live"); }
      else if (busy) live("There is something new; this page follows when the form is left.");
      else { version = found; await renew(); }
    } catch { if (++silent >= 2) live(`No answer since ${clock(looked)}: this page is old`, true); }
  }

  /* ---- forms: only what is filled in is sent, long ones are searched; what goes on is looked at again ------------- */
  function lean(form) {
    form.addEventListener("formdata", ({ formData }) => { for (const [name, value] of [...formData]) if (!value) formData.delete(name); });
    form.addEventListener("change", (event) => { if (!event.target.dataset.filter) form.dataset.changed = "yes"; });
  }
  function filter(input) {
    const form = document.getElementById(input.dataset.filter), said = $("[data-filtered]", form);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      for (const each of $$("[data-words]", form)) {
        const text = each.dataset.words.toLowerCase();
        each.hidden = !words.every((word) => text.includes(word));
        n += !each.hidden;
      }
      for (const each of $$("details.stage", form)) {
        each.hidden = !$("[data-words]:not([hidden])", each);
        if (words.length) each.open = true;
      }
      said.textContent = words.length ? `${n} found` : "";
    });
  }
  async function refresh() {
    for (const box of document.hidden ? [] : $$("[data-refresh]")) {
      if (!$("[data-going]", box) || box.contains(document.activeElement)) continue;
      const answer = await fetch(`${box.dataset.refresh}?${state}`, { headers: { accept: "text/html" } }).catch(() => null);
      if (!answer?.ok) continue;
      box.innerHTML = await answer.text();
      wake(box);
      if (!$("[data-going]", box) && !$("form[data-changed]")) await renew();
    }
  }

  /* ---- start -------------------------------------------------------------------------------------------------------- */
  function wake(root) {
    for (const figure of $$("figure.map", root)) maps.add(new TileMap(figure));
    for (const map of maps) map.draw();
    for (const box of $$(".plot .canvas", root)) onSight.observe(box);
    for (const box of $$("[data-energies]", root)) slider(box);
    for (const form of $$("form[data-lean]", root)) lean(form);
    for (const input of $$("[data-filter]", root)) filter(input);
    for (const form of $$("form[data-auto]", root)) form.addEventListener("change", () => form.requestSubmit());
    for (const button of $$("[data-copy]", root)) button.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(document.getElementById(button.dataset.copy).textContent);
      const before = button.textContent; button.textContent = "copied"; setTimeout(() => (button.textContent = before), 1500);
    });
    for (const each of $$("[data-confirm]", root)) each.addEventListener("submit", (event) => { if (!confirm(each.dataset.confirm)) event.preventDefault(); });
  }
  document.addEventListener("click", (event) => {
    // Links that change one word of this page's state keep what the script has changed since.
    const link = event.target.closest?.("a[data-here]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const query = new URLSearchParams(state);
    for (const [name, value] of Object.entries(JSON.parse(link.dataset.here))) value === null ? query.delete(name) : query.set(name, value);
    location.href = location.pathname + (String(query) ? "?" + query : "");
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea, [role=application]")) return;
    const input = $("[data-energies] input");
    if (input && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.key === "ArrowLeft" ? input.stepDown() : input.stepUp();
      input.dispatchEvent(new Event("input"));
    } else $(`[data-key="${CSS.escape(event.key)}"]`)?.click();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const box of $$(".plot .canvas")) { box.dataset.done = ""; embed(box); } });
  wake(document);
  setInterval(look, 2000);
  setInterval(refresh, 1500);
  look();
})();
