// A grid of neurons: coloured cells, one of which is picked by mouse or keyboard.
// The kernel sets colours, marks, names and columns; `picked` goes both ways.

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

function build(model, grid) {
  const columns = model.get("columns");
  grid.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
  const count = model.get("names").length;
  grid.replaceChildren();
  for (let first = 0; first < count; first += columns) {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    row.style.display = "contents";
    for (let i = first; i < Math.min(first + columns, count); i++) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.dataset.neuron = i;
      row.append(cell);
    }
    grid.append(row);
  }
}

function paint(model, cells) {
  const [colours, marks, names] = ["colours", "marks", "names"].map((n) => model.get(n));
  cells.forEach((cell, i) => {
    cell.style.background = colours[i];
    cell.textContent = marks[i];
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
      if (cells.length !== model.get("names").length || grid.dataset.columns !== `${model.get("columns")}`) {
        build(model, grid);
        grid.dataset.columns = model.get("columns");
        cells = [...grid.querySelectorAll("[role=gridcell]")];
      }
      grid.setAttribute("aria-label", model.get("label"));
      paint(model, cells);
      pick(model, cells);
    };
    const choose = (neuron) => {
      model.set("picked", neuron);
      model.save_changes();
      cells[neuron].focus();
    };
    grid.addEventListener("click", (event) => {
      const cell = event.target.closest("[role=gridcell]");
      if (cell) choose(Number(cell.dataset.neuron));
    });
    grid.addEventListener("keydown", (event) => {
      const to = target(event, model.get("picked"), model.get("columns"), cells.length);
      if (to === null) return;
      event.preventDefault();
      event.stopPropagation();
      if (to >= 0 && to < cells.length) choose(to);
    });
    model.on("change:names change:colours change:marks change:columns change:label", refresh);
    model.on("change:picked", () => pick(model, cells));
    refresh();
  },
};
