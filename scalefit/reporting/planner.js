// The arithmetic of sf.plan, for the estimate (row 0) and its bootstrap draws at once. Pure: no page in here.
const GRID = 65, ZOOM = 17, ROUNDS = 4, TOP = Math.log(1e30);

// Fresh tokens that D tokens drawn from U unique ones are worth (Muennighoff et al. 2023, eq. 5).
function effective(D, U, R) {
  return U * (1 + R * -Math.expm1(-(D / U - 1) / R));
}

// Loss at N and D for one parameter set; tokens beyond the unique ones repeat them.
function surface(model, unique) {
  const form = unique !== null && !model.own.repeats ? model.repeated : model.own;
  const law = LAWS[form.law], R = form.R_D;
  return {
    form, unique, borrowed: form !== model.own, k: form.rows.length,
    loss(N, D, row) {
      const U = unique === null ? D : Math.min(D, unique);
      const at = { N, D: R === null ? D : effective(D, U, R), C: TRAIN * N * D, unique_tokens: U, ...model.held };
      return law(...form.inputs.map((name) => at[name]), ...form.rows[row]);
    },
  };
}

// Lowest value of f on [low, high]: a grid, then ever finer ones, then the vertex of the last three points.
function lowest(f, low, high) {
  let grid, value, at;
  for (let stage = 0; stage < ROUNDS; stage++) {
    const n = stage === 0 ? GRID : ZOOM, step = (high - low) / (n - 1), start = low;
    grid = Array.from({ length: n }, (_, i) => (i === n - 1 ? high : i * step + start));
    value = grid.map(f);
    at = 0;
    for (let i = 1; i < n; i++) if (value[i] < value[at]) at = i;
    at = Math.min(Math.max(at, 1), n - 2);
    low = grid[at - 1];
    high = grid[at + 1];
  }
  const [left, middle, right] = [value[at - 1], value[at], value[at + 1]];
  const bend = left - 2 * middle + right;
  const shift = bend > 0 && Number.isFinite(bend) ? (0.5 * (left - right)) / bend : 0;
  return grid[at] + Math.min(Math.max(shift, -1), 1) * 0.5 * (high - low);
}

// Loss along a budget as a function of ln N; infinite where serving leaves nothing to train with.
function along(s, C, served, row) {
  return (u) => {
    const N = Math.exp(u), left = C - SERVE * N * served;
    const value = s.loss(N, Math.max(left / (TRAIN * N), 1e-300), row);
    return Number.isFinite(value) && left > 0 ? value : Infinity;
  };
}

// Size and tokens of the lowest loss that costs C, for every row.
function onBudget(s, C, served) {
  const rows = [...s.form.rows.keys()], powers = s.form.powers;
  if (served === 0 && s.unique === null && powers !== null) {
    const picked = s.form.rows.map((row) => powers.map((i) => row[i]));
    if (picked.every((values) => values.every((value) => value > 0))) {
      return picked.map(([A, alpha, B, beta]) => {
        const g = Math.log((alpha * A) / (beta * B)) / (alpha + beta);
        const N = Math.exp(g + (beta / (alpha + beta)) * Math.log(C / TRAIN));
        return { N, D: C / (TRAIN * N) };
      });
    }
  }
  const high = Math.max(Math.log(C / (TRAIN + SERVE * served)), 1e-6);
  return rows.map((row) => {
    const N = Math.exp(lowest(along(s, C, served, row), 0, high));
    return { N, D: (C - SERVE * N * served) / (TRAIN * N) };
  });
}

function sorted(values) {
  return Float64Array.from(values).sort();
}

// numpy's default quantile of sorted values.
function quantile(values, q) {
  const at = q * (values.length - 1), low = Math.floor(at), high = Math.min(low + 1, values.length - 1);
  return values[low] + (at - low) * (values[high] - values[low]);
}

// Percentiles that are draws: the one below and the one above.
function outer(values, level) {
  const rows = sorted(values.map((value) => (Number.isNaN(value) ? Infinity : value)));
  const tail = (1 - level) / 2, last = rows.length - 1;
  return [rows[Math.floor(tail * last)], rows[Math.ceil((1 - tail) * last)]];
}

// Noise at compute C relative to that at the runs' mean; beyond the runs it stays.
function trendFactor(trend, C) {
  if (trend === null) return 1;
  return (Math.min(Math.max(C, trend.lower), trend.upper) / trend.centre) ** trend.power;
}

// A table over a regular grid of ln N and ln D, read by cubic interpolation; beyond its edges it stays as it is there.
function onGrid(grid, table, N, D) {
  const place = [N, D].map((value, k) => {
    const last = (k === 0 ? table.length : table[0].length) - 1;
    const at = Math.min(Math.max((Math.log(value) - grid.start[k]) / grid.step[k], 0), last);
    const i = Math.min(Math.floor(at), last - 1), t = at - i;
    const weights = [t * (t * (2 - t) - 1), t * t * (3 * t - 5) + 2, t * (t * (4 - 3 * t) + 1), t * t * (t - 1)];
    return weights.map((w, j) => [Math.min(Math.max(i + j - 1, 0), last), w / 2]);
  });
  let sum = 0;
  for (const [i, a] of place[0]) for (const [j, b] of place[1]) sum += a * b * table[i][j];
  return sum;
}

// Fresh tokens that D are worth where repetition is borrowed; D itself elsewhere.
function fresh(model, s, D) {
  return s.borrowed ? effective(D, Math.min(D, s.unique), model.R_D) : D;
}

// Loss of a run at N and D: the law's, or the forecast's, which adds what its largest runs missed the law by.
function lossAt(model, s, N, D) {
  return model.grid === null ? s.loss(N, D, 0) : asNew(model, N, fresh(model, s, D));
}

// Loss of the forecast where every token is new.
function asNew(model, N, D) {
  return surface(model, null).loss(N, D, 0) * Math.exp(onGrid(model.grid, model.grid.correction, N, D));
}

// Standard deviation of the log loss from what is not known of repeats: scalefit.forecasting.repeats.spread.
function repeatsSpread(model, s, N, D) {
  if (!s.borrowed) return 0;
  const once = Math.min(D, s.unique), gap = Math.max(Math.log(asNew(model, N, once) / asNew(model, N, D)), 0);
  const [scale, byRepeats, bySize] = model.grid.repeats;
  return Math.exp(scale) * (D / once - 1) ** byRepeats * (1 + N / once) ** bySize * gap;
}

// Share of the calibrated interval: 0 within the runs.
function beyondAt(grid, N, D) {
  const far = Math.max(0, ...[N, D, TRAIN * N * D].map((value, k) => Math.log(value / grid.largest[k])));
  return grid.reach > 0 ? -Math.expm1(-far / grid.reach) : 1;
}

// Middle of the interval over the forecast [log], which lies within it.
function middleAt(grid, N, D, half) {
  return Math.min(Math.max(beyondAt(grid, N, D) * onGrid(grid, grid.middle, N, D), -half), half);
}

// Standard deviation of the log loss: of the table's own noise within the runs, turning into the calibrated one beyond.
function spreadAt(grid, N, D) {
  const share = beyondAt(grid, N, D);
  const [within, beyond] = [grid.within, grid.beyond].map((table) => Math.exp(onGrid(grid, table, N, D)));
  return Math.sqrt((1 - share) * within ** 2 + share * beyond ** 2);
}

// Interval for the loss of a run at N and D: draws and the runs' own noise, added in squares, as predict_interval does,
// or the forecast's; null where there is none. Where repetition is borrowed, it is the own law's for as many fresh
// tokens, about this loss.
function lossInterval(model, s, N, D, level) {
  if (model.grid !== null) {
    const share = model.grid.quantile.find(([share]) => share === level)[1];
    const half = share * Math.hypot(spreadAt(model.grid, N, fresh(model, s, D)), repeatsSpread(model, s, N, D));
    const middle = middleAt(model.grid, N, fresh(model, s, D), half);
    const [lower, upper] = [-half, half].map((move) => lossAt(model, s, N, D) * Math.exp(middle + move));
    if (!s.borrowed || D <= s.unique) return [lower, upper];
    // No token teaches more when seen again than a new one does; an end at e times the loss is none.
    const new_half = share * spreadAt(model.grid, N, D);
    const least = asNew(model, N, D) * Math.exp(middleAt(model.grid, N, D, new_half) - new_half);
    return [Math.max(lower, least), half > 1 ? Infinity : upper];
  }
  if (model.noise === null) return null;
  if (s.borrowed) {
    const own = surface(model, null), worth = fresh(model, s, D);
    const moved = s.loss(N, D, 0) / own.loss(N, worth, 0);
    return lossInterval(model, own, N, worth, level).map((end) => moved * end);
  }
  const tail = (1 - level) / 2, losses = s.form.rows.map((_, row) => s.loss(N, D, row));
  const middle = Math.log(losses[0]), paths = sorted(losses.slice(1).map(Math.log));
  const noise = model.noise.find(([share]) => share === level)[1] * trendFactor(model.trend, TRAIN * N * D);
  const below = Math.max(middle - quantile(paths, tail), 0), above = Math.max(quantile(paths, 1 - tail) - middle, 0);
  return [losses[0] * Math.exp(-Math.hypot(below, noise)), losses[0] * Math.exp(Math.hypot(above, noise))];
}

// sf.plan(result, C=..., inference_tokens=..., unique_tokens=..., level=...)
function plan(model, C, served, unique, level) {
  const s = surface(model, unique), best = onBudget(s, C, served), draws = best.slice(1);
  const { N, D } = best[0];
  const between = lossInterval(model, s, N, D, level);
  return {
    N, D, C: TRAIN * N * D, loss: lossAt(model, s, N, D), surface: s, interval: between,
    N_interval: draws.length ? outer(draws.map((p) => p.N), level) : null,
    D_interval: draws.length ? outer(draws.map((p) => p.D), level) : null,
    serving: SERVE * N * served,
    possible: Number.isFinite(N) && Number.isFinite(D) && N >= 1 && D >= 1,
  };
}
