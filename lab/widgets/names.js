const PURPOSES = { "fa-play": "Play", "fa-pause": "Pause", "fa-stop": "Stop", "fa-retweet": "Repeat" };

function purpose(button) {
  const icon = button.querySelector("i");
  const found = Object.keys(PURPOSES).find((name) => icon?.classList.contains(name));
  return button.textContent.trim() ? "" : PURPOSES[found] ?? "";
}

function label(handle) {
  return handle.closest(".widget-slider")?.querySelector("label")?.textContent.trim() ?? "";
}

function set(element, name) {
  if (name && element.getAttribute("aria-label") !== name) element.setAttribute("aria-label", name);
}

function nameAll(front) {
  front.querySelectorAll(".noUi-handle").forEach((handle) => set(handle, label(handle)));
  front.querySelectorAll("button").forEach((button) => set(button, purpose(button)));
}

function render({ el }) {
  let observer = null;
  let focused = null; // A button loses the focus while it cannot be pressed.
  const giveBack = (changed) => {
    const nobody = [document.body, null].includes(document.activeElement);
    if (nobody && changed.some(({ target }) => target === focused) && !focused.disabled) focused.focus();
  };
  const begin = () => {
    const front = el.closest(".lab-front");
    if (!front) return requestAnimationFrame(begin); // It is not in the page yet.
    nameAll(front);
    front.addEventListener("focusin", (event) => (focused = event.target));
    observer = new MutationObserver((changed) => {
      nameAll(front); // Also while it leaves the page.
      giveBack(changed);
    });
    observer.observe(front, {
      subtree: true,
      childList: true,
      attributeFilter: ["class", "disabled"],
    });
  };
  begin();
  return () => observer?.disconnect();
}

export default { render };
