// Coloured cells, one of which is picked by mouse or keyboard.
// The kernel sets colours, marks, names and headings; `picked` goes both ways.

const SHAPE = ["columns", "size", "column_names", "row_names", "corner"];
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

function element(role, text) {
  const made = document.createElement("div");
  made.setAttribute("role", role);
  made.textContent = text;
  return made;
}

function rowOf(...cells) {
  const row = element("row", "");
  row.style.display = "contents";
  row.append(...cells);
  return row;
}

function build(model, grid) {
  const [columns, above, before] = ["columns", "column_names", "row_names"].map((n) => model.get(n));
  const count = model.get("names").length;
  const named = above.length > 0;
  grid.classList.toggle("lab-map", named);
  grid.style.gridTemplateColumns = `${named ? "max-content " : ""}repeat(${columns}, 1fr)`;
  grid.style.setProperty("--lab-size", `${model.get("size")}px`);
  grid.replaceChildren();
  if (named) {
    const heads = [model.get("corner"), ...above].map((text) => element("columnheader", text));
    grid.append(rowOf(...heads));
  }
  for (let first = 0; first < count; first += columns) {
    const row = named ? rowOf(element("rowheader", before[first / columns])) : rowOf();
    for (let i = first; i < Math.min(first + columns, count); i++) {
      const cell = element("gridcell", "");
      cell.dataset.cell = i;
      row.append(cell);
    }
    grid.append(row);
  }
}

function lightness(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function paint(model, cells) {
  const [colours, marks, names] = ["colours", "marks", "names"].map((n) => model.get(n));
  cells.slice(0, colours.length).forEach((cell, i) => {
    cell.style.background = colours[i];
    cell.textContent = marks[i];
    const light = lightness(colours[i]);
    cell.classList.toggle("lab-light", light > 117); // Black on it is easier to read than white.
    cell.classList.toggle("lab-pale", light > 149); // So it is in the dark, where both are inverted.
    cell.title = names[i];
    cell.setAttribute("aria-label", names[i]);
  });
}

function pick(model, cells) {
  const picked = model.get("picked");
  cells.forEach((cell, i) => {
    cell.setAttribute("aria-selected", i === picked);
    cell.tabIndex = i === picked ? 0 : -1;
  });
}

function target(event, picked, columns, count) {
  if (event.key in STEPS) return picked + STEPS[event.key];
  if (event.key === "ArrowUp") return picked - columns;
  if (event.key === "ArrowDown") return picked + columns;
  if (event.key === "Home") return 0;
  if (event.key === "End") return count - 1;
  return null;
}

export default {
  render({ model, el }) {
    const grid = document.createElement("div");
    grid.className = "lab-grid";
    grid.setAttribute("role", "grid");
    el.append(grid);
    let cells = [];

    const refresh = () => {
      const shape = JSON.stringify(SHAPE.map((name) => model.get(name)).concat(model.get("names").length));
      if (grid.dataset.shape !== shape) {
        build(model, grid);
        grid.dataset.shape = shape;
        cells = [...grid.querySelectorAll("[role=gridcell]")];
      }
      grid.setAttribute("aria-label", model.get("label"));
      paint(model, cells);
      pick(model, cells);
    };
    const choose = (i) => {
      model.set("picked", i);
      model.save_changes();
      cells[i].focus();
    };
    grid.addEventListener("click", (event) => {
      const cell = event.target.closest("[role=gridcell]");
      if (cell) choose(Number(cell.dataset.cell));
    });
    grid.addEventListener("keydown", (event) => {
      const to = target(event, model.get("picked"), model.get("columns"), cells.length);
      if (to === null) return;
      event.preventDefault();
      event.stopPropagation();
      if (to >= 0 && to < cells.length) choose(to);
    });
    const shown = ["names", "colours", "marks", "label", ...SHAPE];
    model.on(shown.map((name) => `change:${name}`).join(" "), refresh);
    model.on("change:picked", () => pick(model, cells));
    refresh();
  },
};
