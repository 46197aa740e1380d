"use strict";
(() => {
  const all = (where, selector) => [...where.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const root = document.documentElement;
  root.classList.add("scripted");

  // ---- theme
  const themes = ["auto", "light", "dark"];
  const theme = one("#theme");
  const remembered = () => { try { return localStorage.getItem("unetsweep-theme"); } catch { return null; } };
  const setTheme = (name) => {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    theme.textContent = `Theme: ${name}`;
    theme.setAttribute("aria-label", `Colours: ${name === "auto" ? "as the system" : name}`);
    try { localStorage.setItem("unetsweep-theme", name); } catch { /* no storage: the choice holds for this page */ }
  };
  setTheme(themes.includes(remembered()) ? remembered() : "auto");
  theme.addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length]);
  });

  // ---- sorting and filtering
  const table = one("#table");
  const rows = table ? all(table, "tbody tr") : [];
  const collator = new Intl.Collator(undefined, { numeric: true });
  const compareCells = (a, b) => {
    const [x, y] = [a.dataset.v, b.dataset.v];
    return x !== undefined && y !== undefined ? x - y : collator.compare(a.textContent, b.textContent);
  };
  const sortBy = (at, heading) => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    all(table, "thead th").forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const isMissing = (row) => "missing" in row.cells[at].dataset;
    table.tBodies[0].append(...[...rows].sort((a, b) => {
      if (isMissing(a) !== isMissing(b)) return isMissing(a) - isMissing(b);
      return compareCells(a.cells[at], b.cells[at]) * (descending ? -1 : 1);
    }));
  };
  (table ? all(table, "thead th") : []).forEach((heading, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sortBy(at, heading));
    heading.replaceChildren(button);
  });
  const filter = one("#filter");
  if (filter) {
    const apply = () => {
      const text = filter.elements.text.value.toLowerCase();
      const state = filter.elements.state.value;
      let count = 0;
      rows.forEach((row) => {
        const content = `${row.textContent} ${row.dataset.state}`.toLowerCase();
        row.hidden = !content.includes(text) || (state !== "" && row.dataset.state !== state);
        count += !row.hidden;
      });
      filter.querySelector("output").textContent = `${count} of ${rows.length} rows`;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
  }

  // ---- comparison of two trials
  const compare = one("#compare");
  if (compare) {
    const predictions = JSON.parse(one("#predictions")?.textContent || "{}");
    const rowOf = (trial) => rows.find((each) => each.dataset.trial === trial);
    const lines = [...one("#compared").tBodies[0].rows];
    const showTrial = (column, trial) => {
      const row = rowOf(trial);
      const name = row.cells[0].childNodes[1].textContent.trim();
      one("#compared").tHead.rows[0].cells[column + 1].textContent = `trial ${name}`;
      lines.forEach((line) => {
        const at = line.dataset.column;
        line.cells[column + 1].textContent = at === undefined ? row.dataset.state : row.cells[at].textContent;
      });
      all(document, "#compared-pictures .case").forEach((article) => {
        const found = (predictions[row.dataset.training] || []).find((each) => String(each.case) === article.dataset.case);
        const figure = article.querySelectorAll(".picture")[column + 2];
        const img = figure.querySelector("img");
        img.hidden = !found;
        figure.classList.toggle("none", !found);
        if (found) img.src = found.source; else img.removeAttribute("src");
        img.alt = `difference of trial ${name}`;
        const iou = found ? `, IoU ${found.iou.toFixed(4)}` : ": no picture";
        figure.querySelector("figcaption").textContent = `trial ${name}${iou}`;
      });
    };
    const selects = all(compare, "select");
    const show = () => {
      selects.forEach((select, column) => showTrial(column, select.value));
      const chosen = selects.map((select) => rowOf(select.value).dataset.training);
      lines.forEach((line) => {
        line.classList.toggle("differs", line.cells[1].textContent !== line.cells[2].textContent);
      });
      all(document, "[data-trials]").forEach((mark) => {
        mark.classList.toggle("chosen", chosen.some((trial) => mark.dataset.trials.split(" ").includes(trial)));
      });
    };
    compare.addEventListener("change", show);
    compare.addEventListener("submit", (event) => event.preventDefault());
  }

  // ---- pictures in a dialog
  const dialog = one("#dialog");
  const pictures = all(document, ".picture");
  let shown = 0;
  const openPicture = (at) => {
    const figure = pictures[at];
    if (!figure || figure.querySelector("img").hidden) return;
    shown = at;
    const title = figure.closest(".case").querySelector("h3").firstChild.textContent.trim();
    const image = figure.querySelector("img");
    dialog.querySelector("img").src = image.src;
    dialog.querySelector("img").alt = image.alt;
    dialog.querySelector("p").textContent = `${title}: ${figure.querySelector("figcaption").textContent}`;
    if (!dialog.open) dialog.showModal();
  };
  pictures.forEach((figure, at) => {
    const image = figure.querySelector("img");
    figure.classList.add("open");
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.addEventListener("click", () => openPicture(at));
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openPicture(at); }
    });
  });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) openPicture(shown + step);
  });

  // ---- charts as files
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const asSvg = (figure) => {
    const svg = figure.querySelector("svg").cloneNode(true);
    const colours = getComputedStyle(root);
    const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
    style.textContent = one("#chart-style").textContent.replace(/var\((--\w+)\)/g, (_, name) => colours.getPropertyValue(name));
    svg.prepend(style);
    svg.style.background = colours.getPropertyValue("--back");
    return new XMLSerializer().serializeToString(svg);
  };
  const sweep = one("h1").textContent;
  all(document, "figure.card").forEach((figure) => {
    const tools = document.createElement("div");
    tools.className = "downloads";
    const add = (label, type, text) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `Download this chart as ${label}`);
      button.addEventListener("click", () => save(`${sweep}-${figure.id}.${label.toLowerCase()}`, type, text()));
      tools.append(button);
    };
    add("SVG", "image/svg+xml", () => asSvg(figure));
    add("CSV", "text/csv", () => JSON.parse(figure.querySelector(".csv").textContent));
    figure.querySelector("figcaption").prepend(tools);
  });
})();
