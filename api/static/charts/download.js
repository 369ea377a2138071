// What is drawn, as files: the points as CSV, a chart as an SVG that stands alone.

// Those properties that the style sheet gives and a file outside of the page would lack.
const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity",
  "font-family", "font-size"];

function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// `trials`: TrialPoints. A row a point, as long as there are points; not finite is empty.
export function csv(trials, metrics) {
  const rows = ["trial,metric,step,epoch,time_s,value"];
  for (const trial of trials) {
    for (const metric of metrics) {
      const curve = trial.curve(metric);
      if (!curve) continue;
      curve.values.forEach((value, i) => {
        rows.push([trial.source.id, metric, curve.steps[i], curve.epochs[i] ?? "", curve.times_s[i],
          value ?? ""].join(","));
      });
    }
  }
  return `${rows.join("\r\n")}\r\n`;
}

export function saveCsv(name, trials, metrics) {
  save(`${name}.csv`, csv(trials, metrics), "text/csv");
}

export function standalone(figure) {
  const copy = figure.svg.cloneNode(true);
  const originals = [figure.svg, ...figure.svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of DRAWN) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("class");
  });
  const { width, height } = figure.svg.viewBox.baseVal;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("fill", "none");
  copy.removeAttribute("aria-hidden");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--surface").trim();
  for (const [key, value] of Object.entries({ width, height, fill: colour })) ground.setAttribute(key, value);
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = [figure.chart.title, ...figure.lines.map((line) => line.name)].join(", ");
  copy.prepend(title, ground);
  return new XMLSerializer().serializeToString(copy);
}

export function saveSvg(name, figure) {
  save(`${name}.svg`, standalone(figure), "image/svg+xml");
}
