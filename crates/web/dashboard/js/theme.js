// Before the first paint, so that a dark page never flashes white. A classic script: modules come later.
(function () {
  var theme = null;
  try {
    theme = JSON.parse(localStorage.getItem("werkpilot.theme"));
  } catch (error) {
    // Storage is off or holds something else: the system's theme.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
