// Light, dark, or as the system says. Colours are in style/tokens.css; public/theme.js sets the choice before the first paint.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "wharf-theme";
const ORDER: readonly Theme[] = ["system", "light", "dark"];
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>(stored());
/** Counts changes of the colours: what is painted on a canvas is painted again. */
export const themeVersion = signal(0);

function stored(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export function isDark(): boolean {
  return theme.value === "dark" || (theme.value === "system" && prefersDark.matches);
}

export function setTheme(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is off: the choice holds until the page is left.
  }
  theme.value = next;
  themeVersion.value += 1;
}

export function nextTheme(): void {
  setTheme(ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length] ?? "system");
}

prefersDark.addEventListener("change", () => {
  themeVersion.value += 1;
});

/** The value of a colour token as a canvas takes it. */
export function colour(token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
