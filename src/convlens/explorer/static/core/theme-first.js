// Runs before the first paint, so that a dark page does not flash white. Not a module: modules wait for the document.
(() => {
  const asked = new URLSearchParams(location.search).get("theme");
  let kept = null;
  try {
    kept = localStorage.getItem("convlens-theme");
  } catch {
    // storage may be forbidden; the system's choice is used then
  }
  const theme = asked ?? kept;
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
