// Sorting: without it the table is there all the same, the dearest test first.
document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, n) => {
    const cell = row.cells[n];
    return n ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  heads.forEach((head, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = n ? head.getAttribute("aria-sort") !== "descending" : head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const order = (a, b) => (n ? value(a, n) - value(b, n) : value(a, n).localeCompare(value(b, n)));
      const rows = [...body.rows].sort((a, b) => (falling ? -order(a, b) : order(a, b)));
      body.append(...rows);
    });
  });
});
