// The style sheet's colours, for canvases; and the choice between light and dark.

const NAMES = ["surface", "line", "strong-line", "text", "muted", "accent", "ok", "bad", "busy", "pressure", "idle", "sunken", "engine", "library", "on-busy"];
const CHOICES = ["auto", "light", "dark"];
const TITLES = { auto: "Auto", light: "Light", dark: "Dark" };
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
let known = null;

/** The colours by name, as they are now. */
export function colours() {
  if (known) return known;
  const probe = document.createElement("span");
  document.body.append(probe);
  known = {};
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    known[name] = getComputedStyle(probe).color;
  }
  known.mono = getComputedStyle(document.body).getPropertyValue("--mono");
  known.sans = getComputedStyle(document.body).getPropertyValue("--sans");
  probe.remove();
  return known;
}

/** Have `draw` called when the colours have changed. */
export function onColours(draw) {
  listeners.add(draw);
}

/** Make a button of this element that goes through the choices. */
export function themeButton(button) {
  let chosen = document.documentElement.dataset.theme ?? "auto";
  const show = () => {
    button.textContent = TITLES[chosen];
    button.setAttribute("aria-label", `Colours: ${TITLES[chosen].toLowerCase()}. Change`);
    button.title = "Change between automatic, light and dark colours";
  };
  button.addEventListener("click", () => {
    chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("penstock.theme", chosen);
    } catch {
      // Storage is forbidden: the choice holds until the page is left.
    }
    show();
    changed();
  });
  system.addEventListener("change", changed);
  show();
}

function changed() {
  known = null;
  for (const draw of listeners) draw();
}
