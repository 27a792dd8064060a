// A figure whose curves answer: values at an epoch by pointer or arrow keys, names that hide and show.
// The kernel sets the SVG and what its panels show; `hidden` and `picked` go to it.

const REACH = 12; // How far from a curve, in pixels, a click still means it.
const MOST_SEEDS = 6;
const HELP =
  "Curves. Arrow keys read them: left and right the epochs, up and down the panels. " +
  "Page down chooses a run, Enter opens it, plus and minus show a part and all.";

function element(name, parent, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  parent.append(made);
  return made;
}

function share(value, [low, high], log) {
  const scale = log ? Math.log10 : (number) => number;
  return (scale(value) - scale(low)) / (scale(high) - scale(low));
}

const across = (panel, epoch) => panel.box[0] + panel.box[2] * share(epoch, panel.x, false);
const down = (panel, value) => panel.box[1] + panel.box[3] * (1 - share(value, panel.y, panel.log));
const last = (panel) => Math.max(...panel.curves.map((curve) => curve.values.length)) - 1;

function within(panel, x, y) {
  const [left, top, width, height] = panel.box;
  return x >= left && x <= left + width && y >= top && y <= top + height;
}

function epochAt(panel, x) {
  const [low, high] = panel.x;
  const epoch = Math.round(low + ((high - low) * (x - panel.box[0])) / panel.box[2]);
  return Math.min(Math.max(epoch, 0), last(panel));
}

function number(value, title) {
  if (value === null || value === undefined) return "–";
  return title.includes("%") ? value.toFixed(2) : `${Number(value.toPrecision(4))}`;
}

// What a panel shows around an epoch: half of the epochs, and all values of the curves shown there.
function nearer(panel, epoch, hidden) {
  const half = Math.max((panel.x[1] - panel.x[0]) / 4, 0.6);
  const x = [Math.max(epoch - half, panel.x[0]), Math.min(epoch + half, panel.x[1])];
  const scale = panel.log ? Math.log10 : (value) => value;
  const values = panel.curves
    .filter((curve) => !hidden.includes(curve.group))
    .flatMap((curve) => curve.values.filter((value, at) => at >= x[0] && at <= x[1]))
    .filter((value) => value !== null)
    .map(scale);
  if (!values.length) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.05 * (high - low) || 0.05;
  const y = [low - margin, high + margin];
  return { title: panel.title, x, y: panel.log ? y.map((end) => 10 ** end) : y };
}

// What a panel shows of a frame, given by two corners as shares of the picture.
function framed(panel, one, other) {
  const [left, top, width, height] = panel.box;
  const scale = panel.log ? Math.log10 : (value) => value;
  const [low, high] = panel.y.map(scale);
  const inside = (share) => Math.min(Math.max(share, 0), 1);
  const x = [one.x, other.x].sort((a, b) => a - b).map((end) => {
    return panel.x[0] + (panel.x[1] - panel.x[0]) * inside((end - left) / width);
  });
  const y = [one.y, other.y].sort((a, b) => b - a).map((end) => {
    return low + (high - low) * (1 - inside((end - top) / height));
  });
  return { title: panel.title, x, y: panel.log ? y.map((end) => 10 ** end) : y };
}

// The groups of a panel that are shown: the name, the colour, the mean, and each seed's value.
function readings(panel, epoch, hidden) {
  const shown = panel.curves.filter((curve) => !hidden.includes(curve.group));
  return shown
    .filter((curve) => curve.mean && curve.values.length > epoch)
    .map((mean) => {
      const seeds = shown.filter((curve) => !curve.mean && curve.group === mean.group);
      const each = seeds.map((curve) => number(curve.values[epoch], panel.title));
      const value = number(mean.values[epoch], panel.title);
      return { name: mean.group, colour: mean.colour, value, each: each.length > 1 ? each : [] };
    });
}

function seeds({ each }) {
  const more = each.length > MOST_SEEDS ? ` and ${each.length - MOST_SEEDS} more` : "";
  return `${each.slice(0, MOST_SEEDS).join(", ")}${more}`;
}

function words(reading) {
  return reading.each.length ? `mean ${reading.value}; each ${seeds(reading)}` : reading.value;
}

// A table of the values, with the colour of each group.
function tableOf(found) {
  const table = document.createElement("table");
  for (const reading of found) {
    const row = table.insertRow();
    row.style.setProperty("--lab-colour", reading.colour);
    [reading.name, reading.value, seeds(reading)].forEach((text) => {
      row.insertCell().textContent = text;
    });
  }
  return table;
}

export default {
  render({ model, el }) {
    const stage = element("div", el, "lab-picture");
    const drawing = element("div", stage, "");
    const over = element("div", stage, "");
    const names = element("div", stage, "");
    const aloud = element("div", stage, "lab-aloud");
    const all = element("button", stage, "lab-all", "Show all");
    let at = null; // The panel and the epoch that are read.
    let corner = null; // Where a frame begins that is being drawn.

    const runsOf = (panel) => {
      return panel.curves.filter((c) => !c.mean && !model.get("hidden").includes(c.group));
    };
    const chosenIn = (panel) => (at?.run === undefined ? null : (runsOf(panel)[at.run] ?? null));
    const siblings = (panel, curve) => {
      return panel.curves.filter((other) => !other.mean && other.group === curve.group);
    };
    const runName = (panel, curve) => {
      const own = siblings(panel, curve);
      return `${curve.group}, run ${own.indexOf(curve) + 1} of ${own.length}`;
    };

    const place = (made, x, y) => {
      made.style.left = `${100 * x}%`;
      made.style.top = `${100 * y}%`;
    };

    const show = () => {
      over.replaceChildren();
      const panel = at && model.get("panels")[at.panel];
      if (!panel) return;
      const hidden = model.get("hidden");
      const epoch = Math.min(at.epoch, last(panel));
      const x = across(panel, epoch);
      const guide = element("div", over, "lab-guide");
      place(guide, x, panel.box[1]);
      guide.style.height = `${100 * panel.box[3]}%`;
      const chosen = chosenIn(panel);
      for (const curve of panel.curves) {
        const value = curve.values[epoch];
        if (hidden.includes(curve.group) || value === null || value === undefined) continue;
        const y = down(panel, value);
        if (!within(panel, x, Math.min(y, 1))) continue;
        const dot = element("div", over, "lab-dot");
        dot.style.background = curve.colour;
        dot.classList.toggle("lab-chosen", curve === chosen);
        place(dot, x, y);
      }
      const box = element("div", over, "lab-values");
      element("div", box, "", `${panel.title} at epoch ${epoch}`);
      const found = readings(panel, epoch, hidden);
      box.append(tableOf(found));
      box.style.top = `${100 * panel.box[1]}%`;
      const fits = x * stage.clientWidth + 10 + box.offsetWidth <= stage.clientWidth;
      if (fits) box.style.left = `calc(${100 * x}% + 10px)`;
      else box.style.right = `calc(${100 * (1 - x)}% + 10px)`;
      const told = found.map((reading) => `${reading.name}: ${words(reading)}`).join(". ");
      const own = chosen ? ` Chosen: ${runName(panel, chosen)}.` : "";
      if (at.aloud) aloud.textContent = `${panel.title}, epoch ${epoch}. ${told}.${own}`;
      if (chosen) element("div", box, "", `chosen: ${runName(panel, chosen)}; Enter opens it`);
    };

    const hide = () => {
      const hidden = model.get("hidden");
      drawing.querySelectorAll("[data-run], [data-mean]").forEach((part) => {
        part.classList.toggle("lab-hidden", hidden.includes(part.dataset.run ?? part.dataset.mean));
      });
      drawing.querySelectorAll("[data-name]").forEach((part) => {
        part.classList.toggle("lab-faded", hidden.includes(part.dataset.name));
      });
      for (const button of names.children) {
        button.setAttribute("aria-pressed", !hidden.includes(button.dataset.group));
      }
      show();
    };

    const toggle = (group) => {
      const hidden = model.get("hidden");
      const others = hidden.filter((name) => name !== group);
      model.set("hidden", others.length < hidden.length ? others : [...hidden, group]);
      model.save_changes();
    };

    // Buttons lie over the names in the picture: they can be reached by keyboard.
    const layNames = () => {
      const whole = drawing.getBoundingClientRect();
      if (!whole.width) return requestAnimationFrame(layNames); // It is not in the page yet.
      const focused = document.activeElement?.dataset?.group;
      const parts = [...drawing.querySelectorAll("[data-name]")];
      names.replaceChildren();
      for (const group of new Set(parts.map((part) => part.dataset.name))) {
        const found = parts.filter((part) => part.dataset.name === group);
        const boxes = found.map((part) => part.getBoundingClientRect());
        const [left, top] = ["left", "top"].map((side) => Math.min(...boxes.map((b) => b[side])));
        const [right, bottom] = ["right", "bottom"].map((s) => Math.max(...boxes.map((b) => b[s])));
        const button = element("button", names, "");
        button.dataset.group = group;
        button.setAttribute("aria-label", `curves of ${group}`);
        button.title = "hide or show";
        place(button, (left - whole.left) / whole.width, (top - whole.top) / whole.height);
        button.style.width = `${(100 * (right - left)) / whole.width}%`;
        button.style.height = `${(100 * (bottom - top)) / whole.height}%`;
        button.addEventListener("click", () => toggle(group));
        if (group === focused) button.focus();
      }
      hide();
    };

    const zoom = (part) => {
      model.set("zoom", part ?? {});
      model.save_changes();
    };

    const draw = () => {
      all.hidden = !("title" in model.get("zoom"));
      drawing.innerHTML = model.get("value");
      const touched = model.get("panels").length > 0;
      for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", HELP]]) {
        if (touched) stage.setAttribute(name, value);
        else stage.removeAttribute(name);
      }
      if (touched) aloud.setAttribute("aria-live", "polite");
      else aloud.removeAttribute("aria-live");
      if (touched) return layNames();
      names.replaceChildren();
      show();
    };

    const under = (event) => {
      const whole = drawing.getBoundingClientRect();
      const [x, y] = [(event.clientX - whole.left) / whole.width, (event.clientY - whole.top) / whole.height];
      const panel = model.get("panels").findIndex((one) => within(one, x, y));
      return panel < 0 ? null : { panel, epoch: epochAt(model.get("panels")[panel], x), x, y, whole };
    };

    const open = (panel, curve) => {
      model.set("picked", [curve.group, siblings(panel, curve).indexOf(curve), Date.now()]);
      model.save_changes();
    };

    const pick = ({ panel, epoch, y, whole }) => {
      const one = model.get("panels")[panel];
      const far = (curve) => Math.abs(down(one, curve.values[epoch] ?? NaN) - y) * whole.height;
      const near = runsOf(one).filter((curve) => far(curve) <= REACH);
      near.sort((a, b) => far(a) - far(b));
      if (near.length) open(one, near[0]);
    };

    const choose = (step) => {
      if (!at) move(0, Infinity);
      const count = runsOf(model.get("panels")[at.panel]).length;
      const from = at.run ?? (step > 0 ? -1 : 0);
      at = { ...at, aloud: true, run: count ? (from + step + count) % count : undefined };
      show();
    };

    const move = (panel, epoch) => {
      const panels = model.get("panels");
      const to = (panel + panels.length) % panels.length;
      const within = Math.min(Math.max(epoch, 0), last(panels[to]));
      at = { panel: to, epoch: within, aloud: true, run: at?.run };
      show();
    };

    const keys = {
      ArrowLeft: () => move(at?.panel ?? 0, (at?.epoch ?? last(model.get("panels")[0]) + 1) - 1),
      ArrowRight: () => move(at?.panel ?? 0, (at?.epoch ?? -1) + 1),
      ArrowUp: () => move((at?.panel ?? 0) - 1, at?.epoch ?? 0),
      ArrowDown: () => move((at?.panel ?? -1) + 1, at?.epoch ?? 0),
      Home: () => move(at?.panel ?? 0, 0),
      End: () => move(at?.panel ?? 0, Infinity),
      PageDown: () => choose(1),
      PageUp: () => choose(-1),
      Enter: () => {
        const panel = at && model.get("panels")[at.panel];
        if (panel && chosenIn(panel)) open(panel, chosenIn(panel));
      },
      Escape: () => leave(),
      "+": () => at && zoom(nearer(model.get("panels")[at.panel], at.epoch, model.get("hidden"))),
      "-": () => zoom(null),
    };

    const leave = () => {
      at = null;
      aloud.textContent = "";
      show();
    };

    const far = (found) => {
      const { width, height } = found.whole;
      return Math.hypot((found.x - corner.x) * width, (found.y - corner.y) * height) > REACH;
    };

    const drawFrame = (found) => {
      at = null;
      show();
      const frame = element("div", over, "lab-frame");
      place(frame, Math.min(found.x, corner.x), Math.min(found.y, corner.y));
      frame.style.width = `${100 * Math.abs(found.x - corner.x)}%`;
      frame.style.height = `${100 * Math.abs(found.y - corner.y)}%`;
    };

    stage.addEventListener("pointerdown", (event) => {
      const mouse = event.pointerType === "mouse" && !event.target.closest("button");
      corner = mouse ? under(event) : null; // A finger scrolls the page.
    });
    stage.addEventListener("pointermove", (event) => {
      const found = under(event);
      if (corner && found?.panel === corner.panel && far(found)) return drawFrame(found);
      at = found;
      show();
    });
    stage.addEventListener("pointerleave", () => {
      corner = null;
      leave();
    });
    // No "click": there is none if the picture was drawn again since the button went down.
    stage.addEventListener("pointerup", (event) => {
      const found = event.target.closest("button") ? null : under(event);
      const frame = corner && found?.panel === corner.panel && far(found);
      if (frame) zoom(framed(model.get("panels")[found.panel], corner, found));
      else if (found) pick(found);
      corner = null;
    });
    all.addEventListener("click", () => zoom(null));
    stage.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || !model.get("panels").length) return;
      if (event.key === "Enter" && event.target !== stage) return; // A button is pressed.
      event.preventDefault();
      event.stopPropagation();
      keys[event.key]();
    });
    model.on("change:value change:panels", draw);
    model.on("change:hidden", hide);
    model.on("change:zoom", () => (all.hidden = !("title" in model.get("zoom"))));
    draw();
  },
};
