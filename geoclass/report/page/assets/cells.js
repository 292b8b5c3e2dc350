"use strict";

// Rasters of cells: unpacked from the page's data, painted with a palette.

const NONE = 255;

/** Bytes of a deflated base64 text; exact, where the pixels of a picture may not be. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function unpackPlane(texts, place) {
  return place === null || place === undefined ? null : new Uint8Array(await unpack(texts[place]));
}

/** "#rrggbb" to [r, g, b]. */
function parseColor(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

/** Colours of percents, 256 of [r, g, b]; null where there is none. */
function shadePercents(ramp) {
  const palette = new Array(256).fill(null);
  for (const { from, to, color } of ramp) {
    for (let percent = from; percent <= to; percent++) palette[percent] = parseColor(color);
  }
  return palette;
}

/** Colours of class codes, 256 of [r, g, b]; null where there is none. */
function paletteOf(legend) {
  const palette = new Array(256).fill(null);
  for (const { code, color } of legend) palette[code] = parseColor(color);
  return palette;
}

/** Fill a canvas, a pixel a cell, with the colours of `values`; leave out hidden classes. */
function paintCells(canvas, step, values, palette, hidden) {
  canvas.width = step.cols;
  canvas.height = step.rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(step.cols, step.rows);
  const codes = step.planes.class;
  for (let cell = 0; cell < codes.length; cell++) {
    const color = hidden.has(codes[cell]) ? null : palette[values[cell]];
    if (color) image.data.set([...color, 255], 4 * cell);
  }
  context.putImageData(image, 0, 0);
}

/** Code of a class → its share of all that has data, by area or, without a place, by pixels. */
function sumShares(step) {
  const sums = new Map();
  let all = 0;
  step.planes.class.forEach((code, cell) => {
    if (code === NONE) return;
    sums.set(code, (sums.get(code) ?? 0) + step.weights[cell]);
    all += step.weights[cell];
  });
  return new Map([...sums].map(([code, sum]) => [code, sum / all]));
}

/** A canvas as a layer of the map, cut off where the scene ends inside a cell. */
const CellOverlay = L.ImageOverlay.extend({
  _initImage() {
    const canvas = this._image = this._url;
    canvas.classList.add("leaflet-image-layer", "cells");
    canvas.setAttribute("aria-hidden", "true");
    if (this._zoomAnimated) canvas.classList.add("leaflet-zoom-animated");
  },
});

/** [left, top, right, bottom], downward, to Leaflet's bounds, upward. */
function boundsOf([left, top, right, bottom]) {
  return L.latLngBounds([-bottom, left], [-top, right]);
}

/** The part of a raster of whole cells that the scene covers, as a CSS shape. */
function clipOf(step) {
  const [left, top, right, bottom] = step.extent;
  const [, , fullRight, fullBottom] = step.full;
  const cutRight = 100 * (1 - (right - left) / (fullRight - left));
  const cutBottom = 100 * (1 - (bottom - top) / (fullBottom - top));
  return `inset(0 ${cutRight}% ${cutBottom}% 0)`;
}

/** The index of the cell at a place of the map, or null outside. */
function findCell(step, { lat, lng }) {
  const [left, top, right, bottom] = step.extent;
  if (lng < left || lng >= right || -lat < top || -lat >= bottom) return null;
  const [, , fullRight, fullBottom] = step.full;
  const col = Math.floor(((lng - left) / (fullRight - left)) * step.cols);
  const row = Math.floor(((-lat - top) / (fullBottom - top)) * step.rows);
  return row * step.cols + col;
}

/** The bounds of a cell, cut where the scene ends. */
function boundsOfCell(step, cell) {
  const [left, top, right, bottom] = step.extent;
  const [, , fullRight, fullBottom] = step.full;
  const width = (fullRight - left) / step.cols;
  const height = (fullBottom - top) / step.rows;
  const x = left + (cell % step.cols) * width;
  const y = top + Math.floor(cell / step.cols) * height;
  return boundsOf([x, y, Math.min(x + width, right), Math.min(y + height, bottom)]);
}
