// The page: theme, hover on runs, and the planner's controls. Texts are set as text, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// Numbers as scalefit.reporting.words writes them.
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function power(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : "∞";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(2).split("e");
  const short = mantissa.replace(/\.?0+$/, "");
  const ten = "10" + String(Number(exponent)).replace("-", "⁻").replace(/\d/g, (d) => SUPER[d]);
  return short === "1" ? ten : `${short}×${ten}`;
}
function count(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : "∞";
  const rounded = Number(value.toPrecision(3));
  if (rounded >= 1e15) return power(value);
  for (const [size, suffix] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]]) {
    if (rounded >= size) return `${Number((rounded / size).toPrecision(3))}${suffix}`;
  }
  return String(rounded);
}

// Theme: the system's, until the reader picks one.
const theme = byId("theme"), system = matchMedia("(prefers-color-scheme: dark)");
function kept(value) {
  try { // storage is not there for every page that is opened from disk
    return value === undefined ? localStorage.getItem("scalefit-theme") : localStorage.setItem("scalefit-theme", value);
  } catch { return null; }
}
function paint() {
  const dark = (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  theme.textContent = dark ? "Light mode" : "Dark mode";
}
const before = kept();
if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
theme.addEventListener("click", () => {
  const next = theme.textContent === "Light mode" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  kept(next);
  paint();
});
system.addEventListener("change", paint);
theme.hidden = false;
paint();

// Hover: the run nearest to the pointer, or to the arrow keys, is marked in every figure.
const tip = byId("tip"), runs = DATA.runs ?? {};
let marked = null;
const digits = (value) => (Math.abs(value) >= 0.1 ? value.toFixed(4) : value.toPrecision(4));
function describe(i) {
  const lines = [runs.name[i], ...["N", "D"].filter((k) => runs[k]).map((k) => `${k} ${count(runs[k][i])}`)];
  if (runs.C) lines.push(`C ${power(runs.C[i])} FLOP`);
  lines.push(`${DATA.target} ${digits(runs.loss[i])} ${DATA.unit}`.trim());
  const ratio = 100 * (runs.predicted[i] / runs.loss[i] - 1), off = DATA.relative ? ratio : runs.predicted[i] - runs.loss[i];
  const size = DATA.relative ? `${Math.abs(off).toFixed(2)} %` : Math.abs(off).toPrecision(2);
  lines.push(`law ${digits(runs.predicted[i])} (${off >= 0 ? "+" : "−"}${size})`);
  return lines.join("\n");
}
function mark(i) {
  if (i === marked) return;
  for (const old of document.querySelectorAll("circle.on")) old.classList.remove("on");
  marked = i;
  if (i === null) { tip.hidden = true; return; }
  for (const point of document.querySelectorAll(`circle[data-i="${i}"]`)) point.classList.add("on");
  tip.textContent = describe(i);
  tip.hidden = false;
}
function place(point) {
  const box = point.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const left = box.right + 12 + size.width > innerWidth ? box.left - 12 - size.width : box.right + 12;
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${Math.min(Math.max(6, box.top - size.height / 2), innerHeight - size.height - 6)}px`;
}
for (const figure of document.querySelectorAll("svg.hover")) {
  const points = [...figure.querySelectorAll("circle[data-i]")].map((node) => ({
    node, i: Number(node.dataset.i), x: Number(node.getAttribute("cx")), y: Number(node.getAttribute("cy")),
  }));
  const order = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  figure.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.getScreenCTM().inverse());
    let best = null, least = 14 ** 2;
    for (const p of points) {
      const d = (p.x - at.x) ** 2 + (p.y - at.y) ** 2;
      if (d < least) [best, least] = [p, d];
    }
    mark(best === null ? null : best.i);
    if (best !== null) place(best.node);
  });
  figure.addEventListener("pointerleave", () => mark(null));
  figure.addEventListener("blur", () => mark(null));
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === "Escape") mark(null);
    if (step === undefined) return;
    event.preventDefault();
    const here = order.findIndex((p) => p.i === marked);
    const next = order[here < 0 ? (step > 0 ? 0 : order.length - 1) : (here + step + order.length) % order.length];
    mark(next.i);
    place(next.node);
  });
}

// What is folded away is printed, but for the table of runs.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("section:not(#runs) details:not([open])")];
  for (const item of opened) item.open = true;
});
addEventListener("afterprint", () => { for (const item of opened) item.open = false; });

// Downloads: what the page holds, as files. Cells that a spreadsheet would take for a formula are marked as text.
function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function csv(columns) {
  const cell = (value) => {
    const cell = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  };
  const names = Object.keys(columns), rows = columns[names[0]].map((_, i) => names.map((name) => cell(columns[name][i])));
  return [names.map((name) => (name === "loss" ? DATA.target ?? name : name)), ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
}
for (const bar of document.querySelectorAll(".downloads")) bar.hidden = false;
byId("get-csv")?.addEventListener("click", () => save("runs.csv", "text/csv", csv(DATA.runs)));
byId("get-json")?.addEventListener("click", () => save("report.json", "application/json", JSON.stringify(DATA.numbers, null, 1)));

// A figure as PNG, in the colours that are on the screen: its copy carries them as attributes, for it leaves the style.
const PAINT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size", "font-family", "paint-order"];
function png(figure) {
  const copy = figure.cloneNode(true), { width, height } = figure.viewBox.baseVal, size = 2.5;
  const from = figure.querySelectorAll("*"), to = copy.querySelectorAll("*");
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const key of PAINT) to[i].setAttribute(key, style.getPropertyValue(key));
  });
  copy.setAttribute("xmlns", figure.namespaceURI);
  copy.setAttribute("width", size * width);
  copy.setAttribute("height", size * height);
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [size * width, size * height];
    const draw = canvas.getContext("2d");
    draw.fillStyle = getComputedStyle(figure.closest("section")).backgroundColor;
    draw.fillRect(0, 0, canvas.width, canvas.height);
    draw.drawImage(image, 0, 0);
    canvas.toBlob((blob) => save(`${figure.closest("section").id}.png`, "image/png", blob));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
}
for (const figure of document.querySelectorAll(".plot svg")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "png";
  button.textContent = "PNG";
  button.setAttribute("aria-label", `Save as PNG: ${(figure.getAttribute("aria-label") ?? "figure").split(";")[0]}`);
  button.addEventListener("click", () => png(figure));
  figure.after(button);
}
