"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  if (!get("data")) return;
  const { runs, looks, most } = JSON.parse(get("data").textContent);
  const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 300, 62, 40];
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
        const { dataset, activation, rate, seed, status, label } = run;
        const cells = [dataset, activation, rate, seed, status, ...until(run, epoch), label];
        const row = document.createElement("tr");
        row.append(cell("th", run.run), ...cells.map((text) => cell("td", text)));
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
    const last = Math.max(1, ...all.map((point) => point[0]));
    const low = Math.min(...all.map((point) => point[1]));
    const high = Math.max(...all.map((point) => point[1]), low + 1e-9);
    const x = (at) => LEFT + ((WIDTH - LEFT - 12) * at) / last;
    const y = (at) => 12 + ((HEIGHT - BOTTOM - 12) * (high - at)) / (high - low);
    const line = (x1, y1, x2, y2, more) => element("line", { x1, y1, x2, y2, ...more });
    const text = (at, above, words, anchor) =>
      element("text", { x: at, y: above, "text-anchor": anchor }, words);
    const parts = [
      line(LEFT, y(low), WIDTH - 12, y(low), { stroke: "#767676" }),
      line(LEFT, y(low), LEFT, y(high), { stroke: "#767676" }),
      text(WIDTH - 12, HEIGHT - 6, `epoch ${last}`, "end"),
      text(LEFT, HEIGHT - 6, "epoch 0", "start"),
    ];
    if (all.length) {
      parts.push(text(LEFT - 6, y(high) + 9, high.toPrecision(4), "end"));
      parts.push(text(LEFT - 6, y(low), low.toPrecision(4), "end"));
    }
    for (const run of shown) {
      const look = looks[run.activation];
      const path = points(run).map((point) => `${x(point[0])},${y(point[1])}`);
      const style = { fill: "none", "stroke-width": 2, "stroke-dasharray": look.dashes };
      parts.push(element("polyline", { points: path.join(" "), stroke: look.colour, ...style }));
    }
    const mark = { stroke: "#000000", "stroke-width": 1.5, "stroke-dasharray": "4 3" };
    parts.push(line(x(Math.min(epoch, last)), 4, x(Math.min(epoch, last)), y(low), mark));
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
        const style = { stroke: colour, "stroke-width": 3, "stroke-dasharray": dashes };
        swatch.append(element("line", { x1: 0, y1: 5, x2: 38, y2: 5, ...style }));
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
