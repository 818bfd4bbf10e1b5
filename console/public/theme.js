// Before the first paint: the theme that was chosen last, so that nothing flashes. Same key as src/theme.ts.
try {
  const theme = localStorage.getItem("wharf-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system's preference holds.
}
