// The page of a print that was just put on record: the printer's dialogue opens by itself. Loaded anew, it is a preview.
addEventListener("load", () => {
  history.replaceState(history.state, "", location.pathname);
  window.print();
});
