"use strict";

// What people touch: each control of a sheet, tied to its viewer.

/** Unpack all rasters of a sheet. */
async function unpackSheet(sheet, texts) {
  sheet.change = await unpackPlane(texts, sheet.change);
  for (const step of sheet.steps) {
    for (const name of Object.keys(step.planes)) {
      step.planes[name] = await unpackPlane(texts, step.planes[name]);
    }
    step.weights = new Float32Array(await unpack(texts[step.weights]));
  }
}

function tieSheet(section, sheet, data) {
  const find = (selector) => section.querySelector(selector);
  const findAll = (selector) => [...section.querySelectorAll(selector)];
  const on = (selector, event, act) => find(selector)?.addEventListener(event, act);
  const boxes = findAll(".classes input");
  const [left, top, right, bottom] = sheet.steps[0].extent;
  find(".map").style.setProperty("--aspect", (right - left) / (bottom - top));
  const viewer = new Viewer(find(".map"), sheet, data);

  const showStep = (number) => {
    viewer.step = sheet.steps[number];
    const slider = find(".date");
    if (slider) {
      slider.value = number;
      slider.setAttribute("aria-valuetext", viewer.step.label);
      find(".shown-date").textContent = viewer.step.label;
      find(".earlier").disabled = number === 0;
      find(".later").disabled = number === sheet.steps.length - 1;
    }
    for (const block of findAll(".step")) block.hidden = Number(block.dataset.step) !== number;
    find(".picture-label").textContent =
      viewer.step.picture === null ? "" : `Behind the cells: ${viewer.step.pictureLabel}`;
    const shares = sumShares(viewer.step);
    for (const box of boxes) {
      const share = shares.get(Number(box.value)) ?? 0;
      box.parentElement.querySelector(".share").textContent = `${(100 * share).toFixed(1)}%`;
    }
    nameSides();
    viewer.draw();
    announce(viewer.selected && viewer.describeAt(viewer.selected));
  };
  const nameSides = () => {
    find(".side.before").textContent =
      viewer.other === "picture" ? "Scene" : viewer.other?.label ?? "";
    find(".side.after").textContent = viewer.other === "picture" ? "Map" : viewer.step.label;
  };
  const shown = () => sheet.steps.indexOf(viewer.step);

  const announce = (cell, aloud = false) => {
    const line = find(".cell-now");
    line.replaceChildren();
    if (cell) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.backgroundColor = cell.color;
      const title = document.createElement("strong");
      title.textContent = cell.title;
      line.append(swatch, title, ` · ${cell.text}`);
    } else {
      line.textContent = "Point at a cell, or tap it.";
    }
    if (aloud) find(".live").textContent = cell ? `${cell.title}, ${cell.text}` : "No cell here.";
  };

  // Time.
  on(".date", "input", (event) => showStep(Number(event.target.value)));
  on(".earlier", "click", () => showStep(Math.max(0, shown() - 1)));
  on(".later", "click", () => showStep(Math.min(sheet.steps.length - 1, shown() + 1)));

  // Colours.
  const showMode = () => {
    viewer.mode = find(".modes input:checked").value;
    for (const ramp of findAll(".ramp")) ramp.hidden = ramp.dataset.mode !== viewer.mode;
    viewer.draw();
  };
  for (const radio of findAll(".modes input")) radio.addEventListener("change", showMode);
  const showOpacity = () => {
    const percent = Number(find(".opacity").value);
    find(".opacity-now").textContent = `${percent} %`;
    viewer.setOpacity(percent / 100);
  };
  on(".opacity", "input", showOpacity);

  // Classes.
  const showClasses = () => {
    viewer.hidden = new Set(boxes.filter((box) => !box.checked).map((box) => Number(box.value)));
    viewer.draw();
  };
  for (const box of boxes) box.addEventListener("change", showClasses);
  for (const [name, checked] of [["all", true], ["none", false]]) {
    on(`.classes .${name}`, "click", () => {
      for (const box of boxes) box.checked = checked;
      showClasses();
    });
  }

  // Two beside each other.
  const divider = find(".divider");
  const swipe = find(".swipe");
  viewer.onDivider = (x) => { divider.style.left = `${x}px`; };
  on(".compare", "change", (event) => {
    const chosen = event.target.value;
    viewer.other = chosen === "" ? null : chosen === "picture" ? "picture" : sheet.steps[Number(chosen)];
    swipe.hidden = divider.hidden = viewer.other === null;
    nameSides();
    viewer.draw();
  });
  swipe.addEventListener("input", () => {
    viewer.share = Number(swipe.value) / 100;
    viewer.clip();
  });

  // Alerts.
  on(".alerts-shown", "change", (event) => {
    viewer.alertsShown = event.target.checked;
    viewer.drawAlerts();
  });
  for (const button of findAll(".go")) {
    button.addEventListener("click", () => {
      const alert = sheet.outlines[Number(button.dataset.alert)];
      const first = sheet.steps.findIndex((step) => step.day >= alert.day);
      if (viewer.step.day < alert.day && first >= 0) showStep(first);
      viewer.showAlert(alert);
      const figure = find(".chip");
      figure.hidden = alert.chip === null;
      if (alert.chip !== null) {
        const caption = `Alert ${alert.number}, before and after`;
        Object.assign(figure.querySelector("img"), { src: data.texts[alert.chip], alt: caption });
        figure.querySelector("figcaption").textContent = caption;
        (find(".readout") ?? figure).after(figure);
      }
      find(".map").scrollIntoView({ block: "center" });
      find(".map").focus({ preventScroll: true });
    });
  }

  // Cells.
  viewer.map.on("mousemove", (event) => announce(viewer.describeAt(event.latlng)));
  viewer.map.on("mouseout", () => announce(viewer.selected && viewer.describeAt(viewer.selected)));
  viewer.map.on("click", (event) => announce(viewer.select(event.latlng), true));
  const keys = {
    ArrowUp: () => announce(viewer.move(-1, 0), true),
    ArrowDown: () => announce(viewer.move(1, 0), true),
    ArrowLeft: () => announce(viewer.move(0, -1), true),
    ArrowRight: () => announce(viewer.move(0, 1), true),
    "+": () => viewer.map.zoomIn(),
    "-": () => viewer.map.zoomOut(),
    0: () => viewer.showAll(),
    Escape: () => { viewer.deselect(); announce(null); },
  };
  find(".map").addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Paper.
  addEventListener("beforeprint", () => { find(".printed").src = viewer.drawPicture(); });

  showOpacity();
  showStep(sheet.steps.length - 1);
  section.classList.add("ready");
}

/** Tell where a table is wider than its frame. */
const frames = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  }
});

async function openPage() {
  for (const frame of document.querySelectorAll(".scroll")) frames.observe(frame);
  const data = JSON.parse(document.getElementById("geoclass-data").textContent);
  for (const section of document.querySelectorAll(".sheet")) {
    const sheet = data.sheets[Number(section.dataset.sheet)];
    await unpackSheet(sheet, data.texts);
    tieSheet(section, sheet, data);
  }
  document.body.classList.add("ready");
}

if ("DecompressionStream" in window) {
  openPage();
} else {
  for (const line of document.querySelectorAll(".cell-now")) {
    line.textContent = "This browser is too old for the map; all numbers are below.";
  }
}
