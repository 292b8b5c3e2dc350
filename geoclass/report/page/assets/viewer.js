"use strict";

// The map of one place and the description of its cells.

const THUMB = 22; // half of the swipe handle, as in page.css

class Viewer {
  constructor(element, sheet, data) {
    this.sheet = sheet;
    this.data = data;
    this.step = sheet.steps[sheet.steps.length - 1];
    this.other = null; // shown left of the divider: a step, "picture", or null
    this.mode = "class";
    this.hidden = new Set();
    this.selected = null;
    this.share = 0.5;
    this.onDivider = () => {};
    this.palettes = {
      class: paletteOf(sheet.legend),
      confidence: shadePercents(data.ramps.confidence),
      change: shadePercents(data.ramps.change),
    };
    this.titles = new Map(sheet.legend.map((entry) => [entry.code, entry.title]));
    this.observed = new Map(sheet.observed.map((entry) => [entry.code, entry.title]));
    this.map = this.createMap(element);
    this.layers = { pictureLeft: null, pictureRight: null, cellsLeft: null, cellsRight: null };
    this.marks = L.layerGroup().addTo(this.map);
    this.alerts = L.layerGroup().addTo(this.map);
    this.alertsShown = true;
    this.map.on("move zoom resize viewreset", () => this.clip());
  }

  createMap(element) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const map = L.map(element, {
      crs: L.CRS.Simple,
      attributionControl: false,
      zoomControl: false,
      keyboard: false, // arrow keys go from cell to cell
      zoomSnap: 0,
      minZoom: -12,
      maxZoom: 3,
      zoomAnimation: !still,
      fadeAnimation: false,
    });
    ["pictureLeft", "pictureRight", "cellsLeft", "cellsRight"].forEach((name, order) => {
      map.createPane(name).style.zIndex = 210 + order;
    });
    this.bounds = this.sheet.steps.reduce(
      (all, step) => all.extend(boundsOf(step.extent)), boundsOf(this.step.extent));
    map.fitBounds(this.bounds, { padding: [8, 8] });
    map.setMinZoom(map.getZoom() - 2);
    map.setMaxBounds(this.bounds.pad(1));
    L.control.zoom({ position: "bottomright" }).addTo(map);
    if (this.sheet.metric) L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
    if (this.sheet.north !== null) map.addControl(this.createNorth());
    return map;
  }

  createNorth() {
    const control = L.control({ position: "topright" });
    control.onAdd = () => {
      const box = L.DomUtil.create("div", "north");
      box.innerHTML = '<svg viewBox="0 0 32 44" role="img" aria-label="North">' +
        '<g><path d="M16 14 L22 40 L16 35 L10 40 Z"/><text x="16" y="11" text-anchor="middle">N</text></g></svg>';
      box.querySelector("g").setAttribute("transform", `rotate(${this.sheet.north} 16 24)`);
      return box;
    };
    return control;
  }

  /** Redraw everything. */
  draw() {
    const left = this.other !== null && this.other !== "picture" ? this.other : null;
    this.setPicture("pictureRight", this.step);
    this.setPicture("pictureLeft", this.other === null ? null : left ?? this.step);
    this.setCells("cellsRight", this.step);
    this.setCells("cellsLeft", left);
    this.drawAlerts();
    this.drawSelection();
    this.clip();
  }

  setPicture(name, step) {
    this.layers[name]?.remove();
    this.layers[name] = step === null || step.picture === null ? null : L.imageOverlay(
      this.data.texts[step.picture], boundsOf(step.extent), { pane: name, alt: step.pictureLabel },
    ).addTo(this.map);
  }

  setCells(name, step) {
    this.layers[name]?.remove();
    this.layers[name] = null;
    if (step === null) return;
    const canvas = document.createElement("canvas");
    const values = this.mode === "change" ? this.sheet.change : step.planes[this.mode];
    paintCells(canvas, step, values, this.palettes[this.mode], this.hidden);
    canvas.style.clipPath = clipOf(step);
    this.layers[name] = new CellOverlay(canvas, boundsOf(step.full), { pane: name }).addTo(this.map);
  }

  setOpacity(share) {
    for (const name of ["cellsLeft", "cellsRight"]) this.map.getPane(name).style.opacity = share;
  }

  drawAlerts() {
    this.alerts.clearLayers();
    if (!this.alertsShown) return;
    for (const alert of this.sheet.outlines) {
      if (this.step.day !== null && this.step.day < alert.day) continue;
      const rings = alert.rings.map((ring) => ring.map(([x, y]) => [-y, x]));
      const plain = { fill: false, interactive: false };
      L.polygon(rings, { ...plain, color: "#000", weight: 6 }).addTo(this.alerts);
      L.polygon(rings, { ...plain, color: alert.color, weight: 3 }).addTo(this.alerts);
    }
  }

  showAlert(alert) {
    const points = alert.rings.flat().map(([x, y]) => [-y, x]);
    this.map.fitBounds(L.latLngBounds(points).pad(1));
  }

  /** Position of the divider, in pixels from the map's left edge. */
  get dividerX() {
    return THUMB + this.share * (this.map.getSize().x - 2 * THUMB);
  }

  clip() {
    const size = this.map.getSize();
    const [start, end] = [[0, 0], [size.x, size.y]].map((p) => this.map.containerPointToLayerPoint(p));
    const middle = start.x + this.dividerX;
    const box = (from, to) => `polygon(${from}px ${start.y}px, ${to}px ${start.y}px, ` +
      `${to}px ${end.y}px, ${from}px ${end.y}px)`;
    for (const name of ["picture", "cells"]) {
      this.map.getPane(`${name}Left`).style.clipPath = box(start.x, middle);
      this.map.getPane(`${name}Right`).style.clipPath =
        this.other === null ? "none" : box(middle, end.x);
    }
    this.onDivider(this.dividerX);
  }

  /** The step shown at a position of the map. */
  stepAt(latlng) {
    const isLeft = this.other !== null && this.other !== "picture" &&
      this.map.latLngToContainerPoint(latlng).x < this.dividerX;
    return isLeft ? this.other : this.step;
  }

  /** Color and description of a cell, or null without a cell. */
  describe(step, cell) {
    const code = cell === null ? NONE : step.planes.class[cell];
    if (code === NONE) return null;
    const entry = this.sheet.legend.find((one) => one.code === code);
    const { confidence, best, reason, seen } = step.planes;
    const words = [];
    if (reason && reason[cell]) words.push(`because of ${this.data.reasons[reason[cell]]}`);
    if (best && best[cell] !== code && best[cell] !== NONE) {
      words.push(`most probable ${this.titles.get(best[cell])}`);
    }
    if (confidence[cell] !== NONE) words.push(`confidence ${confidence[cell]} %`);
    if (this.sheet.change && this.sheet.change[cell] !== NONE) {
      words.push(`probability of change ${this.sheet.change[cell]} %`);
    }
    if (seen && seen[cell] === NONE) words.push("not observed on this date");
    else if (seen && this.observed.get(seen[cell]) !== entry.title) {
      words.push(`map of this date: ${this.observed.get(seen[cell])}`);
    }
    if (this.sheet.metric) words.push(`${step.weights[cell].toFixed(1)} ha`);
    words.push(`row ${Math.floor(cell / step.cols)}, column ${cell % step.cols}`);
    return { title: entry.title, color: entry.color, text: words.join(" · ") };
  }

  describeAt(latlng) {
    const step = this.stepAt(latlng);
    return this.describe(step, findCell(step, latlng));
  }

  select(latlng) {
    const step = this.stepAt(latlng);
    const cell = findCell(step, latlng);
    this.selected = cell === null ? null : boundsOfCell(step, cell).getCenter();
    this.drawSelection();
    return this.selected && this.describeAt(this.selected);
  }

  /** Move the selection by rows and columns; start at the centre. */
  move(rows, cols) {
    if (this.selected === null) return this.select(this.map.getCenter());
    const step = this.stepAt(this.selected);
    const cell = findCell(step, this.selected);
    if (cell === null) return this.select(boundsOf(step.extent).getCenter());
    const row = Math.floor(cell / step.cols) + rows;
    const col = (cell % step.cols) + cols;
    if (row < 0 || row >= step.rows || col < 0 || col >= step.cols) return this.describe(step, cell);
    const target = boundsOfCell(step, row * step.cols + col).getCenter();
    this.map.panInside(target, { padding: [40, 40] });
    return this.select(target);
  }

  deselect() {
    this.selected = null;
    this.drawSelection();
  }

  drawSelection() {
    this.marks.clearLayers();
    if (this.selected === null) return;
    const step = this.stepAt(this.selected);
    const cell = findCell(step, this.selected);
    if (cell === null) return;
    const bounds = boundsOfCell(step, cell);
    const plain = { fill: false, interactive: false };
    L.rectangle(bounds, { ...plain, color: "#000", weight: 5 }).addTo(this.marks);
    L.rectangle(bounds, { ...plain, color: "#fff", weight: 2 }).addTo(this.marks);
  }

  showAll() {
    this.map.fitBounds(this.bounds, { padding: [8, 8] });
  }

  /** Scene, cells and alerts as one picture of the whole place, for printing. */
  drawPicture() {
    const [left, top, right, bottom] = this.step.extent;
    const scale = 1600 / Math.max(right - left, bottom - top);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round((right - left) * scale);
    canvas.height = Math.round((bottom - top) * scale);
    const context = canvas.getContext("2d");
    if (this.layers.pictureRight) {
      const picture = this.layers.pictureRight.getElement();
      if (picture.complete) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    }
    context.globalAlpha = Number(this.map.getPane("cellsRight").style.opacity);
    context.imageSmoothingEnabled = false;
    const [, , fullRight, fullBottom] = this.step.full;
    const cells = this.layers.cellsRight.getElement();
    context.drawImage(cells, 0, 0, (fullRight - left) * scale, (fullBottom - top) * scale);
    context.globalAlpha = 1;
    for (const layer of this.alerts.getLayers()) {
      context.strokeStyle = layer.options.color;
      context.lineWidth = layer.options.weight * 1.5;
      for (const ring of layer.getLatLngs()) {
        context.beginPath();
        for (const { lat, lng } of ring) context.lineTo((lng - left) * scale, (-lat - top) * scale);
        context.closePath();
        context.stroke();
      }
    }
    return canvas.toDataURL();
  }
}
