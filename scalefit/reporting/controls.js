// The planner's controls and answers.
if (DATA.planner !== null) {
  const { models, start } = DATA.planner;
  for (const one of Object.values(models)) one.repeated.rows = one.own.rows.map((row) => [...row, ...one.repeated.extra]);
  const asked = { ...start, unique: null, inference: 0 }, wrong = new Set();
  const chooser = byId("model");
  const chosen = () => (chooser.value !== undefined ? chooser.value : chooser.querySelector("input:checked").value);
  const sliders = { C: byId("C"), inference: byId("inference"), unique: byId("unique") };
  const typed = { C: byId("C-typed"), inference: byId("inference-typed"), unique: byId("unique-typed") };
  const level = byId("level");

  const write = { // how a value reads in its field
    C: (value) => value.toExponential(2).replace(/\.?0*e\+?/, "e"),
    inference: (value) => (value === 0 ? "none" : count(value)),
    unique: (value) => (value === null ? "unlimited" : count(value)),
  };
  const read = (key, words) => { // as the command line reads quantities: 1e22, 1.3e22 FLOP, 5T, 200B tokens
    const text = words.trim().toLowerCase();
    if (key === "inference" && ["none", "0", ""].includes(text)) return 0;
    if (key === "unique" && ["unlimited", "none", ""].includes(text)) return null;
    const unit = key === "C" ? /\s*flops?$/ : /\s*tokens?$/;
    const found = /^([0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmgbtp]?)$/.exec(text.replace(unit, ""));
    const value = found ? Number(found[1]) * { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12, p: 1e15 }[found[2]] : NaN;
    return Number.isFinite(value) && value > 0 ? value : undefined;
  };
  const ofSlider = { // the last step of two sliders stands for "none" and for "unlimited"
    C: (at) => 10 ** at,
    inference: (at) => (at <= Number(sliders.inference.min) ? 0 : 10 ** at),
    unique: (at) => (at >= Number(sliders.unique.max) ? null : 10 ** at),
  };
  const toSlider = (key, value) => {
    const { min, max } = sliders[key];
    return value === 0 ? min : value === null ? max : Math.min(Math.max(Math.log10(value), min), max);
  };

  function show(key, value, form) {
    const node = byId(`out-${key}`);
    node.value = String(value);
    node.textContent = form(value);
  }
  function between(key, pair, form) {
    byId(`out-${key}-lower`).closest("dd").hidden = pair === null;
    if (pair === null) return;
    show(`${key}-lower`, pair[0], form);
    show(`${key}-upper`, pair[1], form);
  }
  function stale() { // what is typed and cannot be read must not stand beside numbers that look like its answer
    byId("answers").classList.toggle("stale", wrong.size > 0);
    byId("shown").classList.toggle("stale", wrong.size > 0);
    const words = [...wrong].map((key) => `“${typed[key].value}” cannot be read`).join("; ");
    byId("unread").textContent = wrong.size ? `${words}: these numbers are for the last value that could.` : "";
  }

  let told = 0;
  function update() {
    const model = models[chosen()], share = Number(level.value);
    const p = plan(model, asked.C, asked.inference, asked.unique, share);
    for (const key of Object.keys(sliders)) sliders[key].setAttribute("aria-valuetext", spoken(key));
    byId("answers").hidden = !p.possible;
    const notes = [];
    if (!p.possible) notes.push("This budget trains nothing after serving: raise compute or lower inference tokens.");
    const digits = (value) => (Number.isFinite(value) ? value.toFixed(4) : "∞");
    show("N", p.N, count);
    show("D", p.D, count);
    show("loss", p.loss, digits);
    between("N", p.N_interval, count);
    between("D", p.D_interval, count);
    between("loss", p.interval, digits);
    const facts = [`${Number((p.D / p.N).toPrecision(3))} tokens per parameter`];
    if (asked.unique !== null) facts.push(`${Number((p.D / asked.unique).toPrecision(3))} passes over the unique tokens`);
    if (p.serving > 0) {
      facts.push(`serving takes ${Math.round((100 * p.serving) / (p.serving + p.C))} % of the compute, training ${power(p.C)} FLOP`);
    }
    byId("planner-facts").textContent = p.possible ? facts.join("; ") + "." : "";
    const seen = model.seen, far = p.C / seen.C;
    if (p.possible && far > 3) {
      notes.push(model.grid !== null
        ? `Extrapolation: ${count(far)} times the compute of the largest run; the interval is calibrated on such jumps on public tables.`
        : `Extrapolation: ${count(far)} times the compute of the largest run behind the law; nothing tests its form there.`);
    }
    const past = ["N", "D"].filter((key) => seen.C === undefined && p[key] > seen[key]);
    if (p.possible && past.length) {
      const named = { N: "size", D: "tokens" };
      notes.push(`Extrapolation: ${past.map((key) => `${count(p[key] / seen[key])} times the largest ${named[key]}`).join(" and ")} behind the law; nothing tests its form there.`);
    }
    if (p.surface.borrowed) notes.push(...model.borrowed);
    if (p.possible && asked.unique !== null && p.D > 4 * asked.unique) {
      notes.push("Many passes over the same tokens: the loss can rise again, which no law here models.");
      if (p.D > 100 * asked.unique) notes.push("After so many passes the size hardly matters: use the loss, not N and D.");
    }
    byId("planner-notes").replaceChildren(...notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    }));
    const call = [`C=${asked.C}`];
    if (asked.inference > 0) call.push(`inference_tokens=${asked.inference}`);
    if (asked.unique !== null) call.push(`unique_tokens=${asked.unique}`);
    if (p.interval !== null) call.push(`level=${share}`);
    byId("call").textContent = `${model.call}\nsf.plan(result, ${call.join(", ")})`;
    stale();
    drawBudget(model, p, share);
    clearTimeout(told);
    told = setTimeout(() => {
      byId("spoken").textContent = p.possible
        ? `${count(p.N)} parameters, ${count(p.D)} tokens, loss ${p.loss.toFixed(3)}` +
          (p.interval === null ? "." : `, ${Number((100 * share).toPrecision(6))} percent interval ${p.interval.map((v) => v.toFixed(3)).join(" to ")}.`)
        : notes[0];
    }, 500);
  }
  function spoken(key) {
    const value = asked[key];
    return key === "C" ? `${write.C(value)} FLOP` : `${write[key](value)}${typeof value === "number" && value > 0 ? " tokens" : ""}`;
  }

  // Loss over size at this budget: how flat the optimum is.
  function drawBudget(model, p, share) {
    const svg = byId("budget"), W = 560, H = 300, L = 58, R = 14, T = 14, B = 44, n = 61;
    svg.replaceChildren();
    if (!p.possible) return;
    const inside = along(p.surface, asked.C, asked.inference, 0), middle = Math.log(p.N), reach = Math.log(30);
    const D = (u) => (asked.C - SERVE * Math.exp(u) * asked.inference) / (TRAIN * Math.exp(u));
    const f = (u) => (inside(u) < Infinity ? lossAt(model, p.surface, Math.exp(u), D(u)) : Infinity);
    const xs = Array.from({ length: n }, (_, i) => middle - reach + (2 * reach * i) / (n - 1));
    const keep = xs.map((u) => [u, f(u)]).filter(([, v]) => Number.isFinite(v) && v < p.loss * 1.25);
    const bands = keep.map(([u, v]) => lossInterval(model, p.surface, Math.exp(u), D(u), share) ?? [v, v]);
    const low = Math.min(...bands.map((b) => b[0])), high = Math.min(Math.max(...bands.map((b) => b[1])), p.loss * 1.3);
    const first = keep[0][0], last = keep[keep.length - 1][0];
    const X = (u) => L + ((u - first) / (last - first)) * (W - L - R);
    const Y = (v) => H - B - ((Math.min(v, high) - low) / (high - low)) * (H - T - B);
    const add = (name, attributes, text) => {
      const node = document.createElementNS(svg.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      if (text !== undefined) node.textContent = text;
      svg.append(node);
    };
    const say = (x, y, anchor, text, kind = "") => add("text", { x, y, "text-anchor": anchor, class: kind }, text);
    for (let k = Math.ceil(first / Math.LN10 - 1); k <= last / Math.LN10; k++) {
      for (const s of [1, 3]) {
        const u = Math.log(s * 10 ** k);
        if (u < first || u > last) continue;
        add("line", { x1: X(u), x2: X(u), y1: T, y2: H - B, class: "grid" });
        say(X(u), H - B + 17, "middle", count(s * 10 ** k));
      }
    }
    const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * ([1, 2, 2.5, 5].find((s) => s * unit >= rough * 0.999) ?? 10); // as the other figures' axes
    const digits = (String(Number(step.toPrecision(2))).split(".")[1] ?? "").length;
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high; k++) {
      add("line", { x1: L, x2: W - R, y1: Y(k * step), y2: Y(k * step), class: "grid" });
      say(L - 7, Y(k * step) + 4, "end", (k * step).toFixed(digits));
    }
    const path = (pairs) => pairs.map(([u, v]) => `${X(u).toFixed(1)},${Y(v).toFixed(1)}`).join(" ");
    const upper = keep.map(([u], i) => [u, bands[i][1]]), lower = keep.map(([u], i) => [u, bands[i][0]]).reverse();
    add("polygon", { points: path([...upper, ...lower]), class: "band c2" });
    add("polyline", { points: path(keep), class: "curve c2" });
    const [x, y] = [X(middle), Y(p.loss)];
    add("polygon", { points: `${x},${y - 7} ${x + 7},${y} ${x},${y + 7} ${x - 7},${y}`, class: "mark" });
    say((L + W - R) / 2, H - 6, "middle", "parameters N, at this budget", "label");
    add("text", { transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle", class: "label" }, DATA.unit ? `${DATA.target} [${DATA.unit}]` : DATA.target);
    const near = keep.filter(([, v]) => v < p.loss * 1.01).map(([u]) => Math.exp(u));
    const nearBest = near.length > 1 ? `Within 1 % of the lowest loss: ${count(near[0])} to ${count(near[near.length - 1])} parameters.` : "";
    byId("flat").textContent = nearBest;
  }

  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; update(); });
  }
  function set(key, value) {
    asked[key] = value;
    typed[key].value = write[key](value);
    typed[key].removeAttribute("aria-invalid");
    byId(`${key}-hint`).classList.remove("wrong");
    wrong.delete(key);
  }
  for (const [key, slider] of Object.entries(sliders)) {
    slider.addEventListener("input", () => { set(key, ofSlider[key](Number(slider.value))); soon(); });
    typed[key].addEventListener("change", () => {
      const value = read(key, typed[key].value), far = 1e8 * models[chosen()].seen.C;
      const bad = value === undefined || (key === "C" && (value > 1e32 || value > far));
      typed[key].setAttribute("aria-invalid", String(bad));
      byId(`${key}-hint`).classList.toggle("wrong", bad);
      wrong[bad ? "add" : "delete"](key);
      if (!bad) {
        asked[key] = value;
        slider.value = toSlider(key, value);
      }
      soon();
    });
  }
  chooser.addEventListener("change", soon);
  level.addEventListener("change", soon);
  function reset() {
    for (const [key, value] of Object.entries({ C: start.C, inference: 0, unique: null })) {
      set(key, value);
      sliders[key].value = toSlider(key, value);
    }
    soon();
  }
  byId("reset").addEventListener("click", reset);
  reset();
}
