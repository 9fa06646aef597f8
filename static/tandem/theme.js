// Runs before the first paint so that a chosen theme never flashes the other one. A classic script: modules are deferred.
(() => {
  try {
    const chosen = localStorage.getItem("tandem-theme");
    if (chosen) document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is forbidden in some private windows; the system's scheme then applies.
  }
})();
