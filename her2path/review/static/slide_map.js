// The slide in view: tiles, magnification, scale, outlines. Positions are level-0 px; on the map
// (x, y) lies at latitude -y / s and longitude x / s, where s is px of level 0 per px of zoom 0.
/* global L */
import { ask, whyMissing } from "/static/server.js";

const POWERS = [2.5, 5, 10, 20, 40];
// 40× is 0.25 µm on each px of the screen, as scanners count.
const UM_AT_1X = 10;
// Outlines closer together than this cannot be told apart.
const OUTLINES_TO_MPP = 1.01;
const BAR_LENGTHS_UM = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
// Screens with more than one dot for each px of a page show the finer tiles.
const DOTS = window.devicePixelRatio >= 1.5 ? 1 : 0;

export class SlideMap {
  static POWERS = POWERS;

  // `onHint` is told what the outlines lack, `onTrouble` why no tiles come (empty: they do again),
  // `onView` that the view is another, or that its tiles have come.
  constructor(element, { onHint, onTrouble, onView }) {
    Object.assign(this, { onHint, onTrouble, onView, highestPower: 0, isSeen: false, colors: null });
    this.map = L.map(element, {
      // Any magnification, so that 40× is 40× on every scanner.
      crs: L.CRS.Simple, zoomSnap: 0, zoomDelta: 1, attributionControl: false,
      preferCanvas: true, wheelPxPerZoomLevel: 90, maxBoundsViscosity: 0.7,
    });
    this.outlines = L.layerGroup().addTo(this.map);
    this.frame = L.layerGroup().addTo(this.map);
    this.addScale();
    this.map.on("moveend", () => {
      if (!this.shown) return;
      this.drawScale();
      this.drawOutlines();
      this.onView();
    });
  }

  // Takes away what was in view: another case follows, or one that cannot be shown.
  clear() {
    this.tiles?.remove();
    this.shown = null;
    this.colors = null;
    this.isSeen = false;
    this.highestPower = 0;
    this.outlines.clearLayers();
    this.frame.clearLayers();
    this.onHint("");
    this.onTrouble("");
    this.scaleBox.hidden = true;
    this.onView();
  }

  show(shown, { session, list }) {
    this.clear();
    this.shown = shown;
    this.list = list;
    this.step = 2 ** shown.max_zoom;
    const whole = this.bounds(0, 0, shown.width, shown.height);
    // Small slides are shown as small as they are at the lowest power.
    const lowest = Math.min(0, this.zoomOf(POWERS[0]));
    this.map.setMaxBounds(null);
    this.map.setMinZoom(lowest);
    this.map.setMaxZoom(shown.max_zoom + 2);
    // Before there are tiles: they would be asked for where the last case was looked at.
    this.map.fitBounds(whole, { animate: false });
    this.map.setMaxBounds(whole.pad(0.4));
    this.scaleBox.hidden = false;
    this.addTiles(session);
  }

  addTiles(session) {
    const { width, height, tile_px, max_zoom } = this.shown;
    this.tiles = L.tileLayer(this.address(session), {
      tileSize: tile_px / 2 ** DOTS, zoomOffset: DOTS, bounds: this.bounds(0, 0, width, height),
      noWrap: true, minZoom: Math.floor(this.map.getMinZoom()), minNativeZoom: -DOTS,
      maxZoom: max_zoom + 2, maxNativeZoom: max_zoom - DOTS, keepBuffer: 1,
    });
    this.tiles.on("loading", () => { this.hasFailed = false; });
    this.tiles.on("tileload", ({ tile, coords }) => {
      this.cut(tile, coords);
      this.isSeen = true;
      this.onView();
    });
    this.tiles.on("tileerror", async ({ tile }) => {
      if (this.hasFailed) return;
      this.hasFailed = true;
      const tiles = this.tiles, words = await whyMissing(tile.src);
      if (tiles === this.tiles) this.onTrouble(words || "Some of the slide did not load.");
    });
    this.tiles.on("load", () => {
      if (this.hasFailed) return;
      this.highestPower = Math.max(this.highestPower, this.power());
      this.onTrouble("");
      this.onView();
    });
    this.tiles.addTo(this.map);
  }

  // Leaves of the tiles what lies on the scan: what they hold beyond is white, as glass is. The
  // tiles of a zoom are cut together: cut by itself a tile has hard edges, and at a broken zoom
  // these would add up with those of the next one to a white line through the slide.
  cut(tile, { x, y, z }) {
    const { width, height, tile_px, max_zoom } = this.shown, size = tile_px / 2 ** DOTS;
    const scale = 2 ** (z - max_zoom), at = L.DomUtil.getPosition(tile);
    const left = at.x - x * size, top = at.y - y * size;
    const right = left + width * scale, bottom = top + height * scale;
    tile.parentNode.style.clipPath =
      `polygon(${left}px ${top}px, ${right}px ${top}px, ${right}px ${bottom}px, ${left}px ${bottom}px)`;
  }

  // Asks for the tiles once more: the server was started again, or a slide has come back. By a new
  // layer, since Leaflet's own redraw asks for tiles of broken zooms, which there are not.
  retry({ session }) {
    if (!this.shown) return;
    this.tiles.remove();
    this.addTiles(session);
  }

  // A browser keeps tiles: those of a result that is replaced meanwhile have another address.
  address(session) {
    const { number, scored } = this.shown;
    return `/api/cases/${number}/tiles/${session}/{z}/{x}/{y}.jpg?scored=${encodeURIComponent(scored)}`;
  }

  point(x, y) { return [-y / this.step, x / this.step]; }

  bounds(x, y, width, height) {
    return L.latLngBounds(this.point(x, y), this.point(x + width, y + height));
  }

  mpp() { return this.shown.mpp * 2 ** (this.shown.max_zoom - this.map.getZoom()); }

  power() { return this.shown ? UM_AT_1X / this.mpp() : 0; }

  zoomOf(power) { return this.shown.max_zoom - Math.log2(UM_AT_1X / power / this.shown.mpp); }

  magnify(power) { if (this.shown) this.map.setZoom(this.zoomOf(power)); }

  zoom(steps) { if (this.shown) this.map.setZoom(this.map.getZoom() + steps); }

  goTo({ x, y, width, height }) {
    const box = this.bounds(x, y, width, height);
    this.frame.clearLayers();
    L.rectangle(box, { color: "#1f5fbf", weight: 2, fill: false, interactive: false })
      .addTo(this.frame);
    this.map.fitBounds(box, { animate: false });
  }

  // Shows outlines in these colors; null hides them.
  setOutlines(colors) {
    this.colors = colors;
    this.drawOutlines();
  }

  async drawOutlines() {
    const asked = this.shown;
    const ticket = this.ticket = {};
    const hideFor = (words) => {
      this.outlines.clearLayers();
      this.onHint(words);
    };
    if (!asked || !this.colors) { hideFor(""); return; }
    if (this.mpp() > OUTLINES_TO_MPP) { hideFor("Outlines are shown from 10×."); return; }
    const view = this.map.getBounds();
    const box = {
      x: Math.floor(view.getWest() * this.step), y: Math.floor(-view.getNorth() * this.step),
      width: Math.ceil((view.getEast() - view.getWest()) * this.step),
      height: Math.ceil((view.getNorth() - view.getSouth()) * this.step),
    };
    let found = null, trouble = "";
    try {
      found = await ask(`/api/cases/${asked.number}/outlines?${new URLSearchParams({ ...box, list: this.list })}`);
    } catch (error) {
      trouble = error.message;
    }
    // Another view was asked for meanwhile.
    if (ticket !== this.ticket) return;
    if (!found) hideFor(trouble);
    else if (found.cells === null) hideFor(`${found.n_cells} cells in view: go closer to see their outlines.`);
    else {
      hideFor("");
      this.draw(found.cells);
    }
  }

  draw(cells) {
    const stained = {}, rest = [], [stepX, stepY] = this.shown.px_per_step;
    for (const [x, y, intensity, radii, sectors] of cells) {
      if (intensity === null) {
        L.circleMarker(this.point(x, y), { radius: 3, color: "#fff", weight: 1, fillColor: "#464646",
          fillOpacity: 1, interactive: false }).addTo(this.outlines);
        continue;
      }
      const n = radii.length;
      const corner = (k) => {
        const angle = 2 * Math.PI * k / n, radius = radii[(k + n) % n];
        return [x + radius * stepX * Math.cos(angle), y + radius * stepY * Math.sin(angle)];
      };
      const middle = (a, b) => this.point((a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      for (let k = 0; k < n; k += 1) {
        const here = corner(k);
        // A sector reaches half-way to its neighbours on both sides.
        const line = [middle(corner(k - 1), here), this.point(...here), middle(here, corner(k + 1))];
        if (sectors >>> k & 1) (stained[intensity] ??= []).push(line); else rest.push(line);
      }
    }
    const add = (lines, color, weight, opacity) => L.polyline(lines, { color, weight, opacity,
      interactive: false, smoothFactor: 0, lineCap: "butt" }).addTo(this.outlines);
    add(rest, this.colors.unstained, 1.2, 1);
    for (const [intensity, lines] of Object.entries(stained)) {
      // A pale edge keeps dark red apart from dark brown.
      add(lines, "#ffffff", 4, 0.75);
      add(lines, this.colors.intensity[intensity], 2.4, 1);
    }
  }

  addScale() {
    const scale = L.control({ position: "bottomleft" });
    scale.onAdd = () => {
      this.scaleBox = L.DomUtil.create("div", "scale");
      this.scaleWords = L.DomUtil.create("div", "", this.scaleBox);
      this.scaleBar = L.DomUtil.create("div", "bar", this.scaleBox);
      return this.scaleBox;
    };
    scale.addTo(this.map);
  }

  drawScale() {
    const mpp = this.mpp(), power = this.power();
    const um = BAR_LENGTHS_UM.filter((length) => length / mpp <= 140).pop() ?? BAR_LENGTHS_UM[0];
    const words = um < 1000 ? `${um} µm` : `${um / 1000} mm`;
    this.scaleWords.textContent = `${words} · ${power < 9.95 ? power.toFixed(1) : Math.round(power)}×`;
    this.scaleBar.style.width = `${um / mpp}px`;
  }
}
