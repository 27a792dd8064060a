"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  if (!get("data")) return;
  const { runs, looks, most } = JSON.parse(get("data").textContent);
  const [WIDTH, HEIGHT, LEFT, BOTTOM] = [480, 280, 58, 36];
  const layer = (text, last) => text.split(" / ").at(last ? -1 : 0);
  const measures = {
    "training loss": (row) => row[1],
    "validation accuracy, %": (row) => row[2],
    "dead, % of the first hidden layer": (row) => layer(row[3]),
    "dead, % of the last hidden layer": (row) => layer(row[3], true),
  };

  const offer = (id, values) => get(id).append(...values.map((value) => new Option(value, value)));
  offer("activation", Object.keys(looks));
  offer("rate", [...new Set(runs.map((run) => run.rate))].sort((a, b) => a - b));
  offer("measure", Object.keys(measures));

  const element = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const cell = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (name === "th") made.scope = "row";
    return made;
  };

  const until = (run, epoch) => run.epochs.findLast((row) => row[0] <= epoch);
  const wanted = () => {
    const words = get("words").value.toLowerCase().split(/\s+/);
    return runs.filter((run) => {
      const all = [run.run, run.dataset, run.label, run.activation, run.status];
      const text = all.join(" ").toLowerCase();
      return (
        ["activation", "rate"].every((id) => !get(id).value || get(id).value === run[id]) &&
        words.every((word) => text.includes(word))
      );
    });
  };

  const showRows = (shown, epoch) =>
    get("table").tBodies[0].replaceChildren(
      ...shown.map((run) => {
        const { rate, seed, dataset, status, label } = run;
        const cells = [rate, seed, ...until(run, epoch), dataset, status, run.run, label];
        const row = document.createElement("tr");
        row.append(cell("th", run.activation), ...cells.map((text) => cell("td", text)));
        return row;
      }),
    );

  const drawCurves = (shown, epoch) => {
    const name = get("measure").value;
    const points = (run) =>
      run.epochs
        .map((row) => [row[0], parseFloat(measures[name](row))])
        .filter((point) => Number.isFinite(point[1]));
    const all = shown.flatMap(points);
    const last = all.reduce((most, point) => Math.max(most, point[0]), 1);
    const scale = name.endsWith("loss") ? (value) => Math.log(Math.max(value, 1e-12)) : Number;
    const heights = all.map((point) => scale(point[1]));
    const low = heights.reduce((a, b) => Math.min(a, b), Infinity);
    const high = heights.reduce((a, b) => Math.max(a, b), low + 1e-6);
    const x = (at) => LEFT + ((WIDTH - LEFT - 12) * at) / last;
    const y = (at) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - 12) * (at - low)) / (high - low);
    const line = (x1, y1, x2, y2, more) => element("line", { x1, y1, x2, y2, ...more });
    const text = (at, above, words, anchor) =>
      element("text", { x: at, y: above, "text-anchor": anchor }, words);
    const parts = [
      text(WIDTH - 12, HEIGHT - 12, `epoch ${last}`, "end"),
      text(LEFT, HEIGHT - 12, "epoch 0", "start"),
    ];
    for (const share of all.length ? [0, 0.25, 0.5, 0.75, 1] : []) {
      const at = low + share * (high - low);
      const value = name.endsWith("loss") ? Math.exp(at) : at;
      parts.push(line(LEFT, y(at), WIDTH - 12, y(at), { class: "rule" }));
      parts.push(text(LEFT - 6, y(at) + 4, String(Number(value.toPrecision(3))), "end"));
    }
    for (const run of shown) {
      const look = looks[run.activation];
      const path = points(run).map((point) => `${x(point[0])},${y(scale(point[1]))}`);
      const style = `stroke: ${look.colour}; stroke-dasharray: ${look.dashes || "none"}`;
      parts.push(element("polyline", { points: path.join(" "), style }));
    }
    const mark = { class: "now" };
    const here = x(Math.min(epoch, last));
    parts.push(line(here, 4, here, HEIGHT - BOTTOM, mark));
    const picture = get("chart").querySelector("svg");
    picture.replaceChildren(...parts);
    const words = shown.map((run) => `${run.run} ${measures[name](until(run, epoch))}`);
    const listed = words.slice(0, 20).join("; ") + (words.length > 20 ? "; …" : "");
    picture.setAttribute("aria-label", `Curves of ${name}. At epoch ${epoch}: ${listed}.`);
  };

  const showLegend = (shown) => {
    const names = Object.keys(looks).filter((name) => shown.some((r) => r.activation === name));
    get("legend").replaceChildren(
      ...names.map((name) => {
        const swatch = element("svg", { viewBox: "0 0 38 10", "aria-hidden": "true" });
        const { colour, dashes } = looks[name];
        const style = `stroke: ${colour}; stroke-dasharray: ${dashes || "none"}; stroke-width: 3`;
        swatch.append(element("line", { x1: 0, y1: 5, x2: 38, y2: 5, style }));
        const item = document.createElement("span");
        item.append(swatch, name);
        return item;
      }),
    );
  };

  const show = () => {
    const epoch = Number(get("epoch").value);
    const found = wanted();
    const shown = found.slice(0, most);
    get("at").value = get("caption").textContent = epoch;
    const first = found.length > most ? `; the first ${most} are shown` : " shown";
    const words = `${found.length} of ${runs.length} runs${first}.`;
    if (get("count").textContent !== words) get("count").textContent = words;
    showRows(shown, epoch);
    drawCurves(shown, epoch);
    showLegend(shown);
  };

  get("controls").hidden = get("chart").hidden = false;
  get("controls").addEventListener("input", show);
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  show();
})();
