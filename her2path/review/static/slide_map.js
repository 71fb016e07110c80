"use strict";
// The slide in view: tiles, magnification, scale, outlines. Positions are level-0 px; on the map
// (x, y) lies at latitude -y / s and longitude x / s, where s is px of level 0 per px of zoom 0.
class SlideMap {
  static POWERS = [2.5, 5, 10, 20, 40];
  // Outlines closer together than this cannot be told apart.
  static OUTLINES_TO_MPP = 1.01;
  static BAR_LENGTHS_UM = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

  constructor(element, { onHint }) {
    this.onHint = onHint;
    this.map = L.map(element, {
      crs: L.CRS.Simple, zoomSnap: 0.25, zoomDelta: 1, attributionControl: false,
      preferCanvas: true, wheelPxPerZoomLevel: 90, maxBoundsViscosity: 0.7,
    });
    this.outlines = L.layerGroup().addTo(this.map);
    this.frame = L.layerGroup().addTo(this.map);
    this.addScale();
    this.map.on("moveend", () => { this.drawScale(); this.drawOutlines(); });
  }

  show(shown) {
    if (this.tiles) this.tiles.remove();
    this.shown = shown;
    this.wantsOutlines = false;
    this.step = 2 ** shown.max_zoom;
    this.outlines.clearLayers();
    this.frame.clearLayers();
    const whole = this.bounds(0, 0, shown.width, shown.height);
    this.map.setMaxBounds(null);
    this.map.setMinZoom(0);
    this.map.setMaxZoom(shown.max_zoom + 2);
    this.tiles = L.tileLayer(`/api/cases/${shown.number}/tiles/${this.session}/{z}/{x}/{y}.jpg`, {
      tileSize: shown.tile_px, minZoom: 0, maxZoom: shown.max_zoom + 2,
      maxNativeZoom: shown.max_zoom, bounds: whole, noWrap: true, keepBuffer: 1,
    });
    let hasFailed = false;
    this.tiles.on("tileerror", async ({ tile }) => {
      if (hasFailed) return;
      hasFailed = true;
      const answer = await fetch(tile.src);
      const body = await answer.json().catch(() => ({}));
      this.onHint(answer.ok ? "" : (body.detail ?? "The slide cannot be read."));
    });
    this.tiles.addTo(this.map);
    this.map.fitBounds(whole, { animate: false });
    this.map.setMaxBounds(whole.pad(0.4));
    this.onHint("");
  }

  point(x, y) { return [-y / this.step, x / this.step]; }

  bounds(x, y, width, height) {
    return L.latLngBounds(this.point(x, y), this.point(x + width, y + height));
  }

  mpp() { return this.shown.mpp * 2 ** (this.shown.max_zoom - this.map.getZoom()); }

  // 40× is 0.25 µm/px on the screen, as scanners count.
  magnify(power) { this.map.setZoom(this.shown.max_zoom - Math.log2(10 / power / this.shown.mpp)); }

  zoom(steps) { this.map.setZoom(this.map.getZoom() + steps); }

  goTo({ x, y, width, height }) {
    const box = this.bounds(x, y, width, height);
    this.frame.clearLayers();
    L.rectangle(box, { color: "#1f5fbf", weight: 2, fill: false, interactive: false })
      .addTo(this.frame);
    this.map.fitBounds(box, { animate: false });
  }

  setOutlines(isWanted, colors) {
    this.wantsOutlines = isWanted;
    this.colors = colors ?? this.colors;
    this.drawOutlines();
  }

  async drawOutlines() {
    const asked = this.shown;
    const ticket = this.ticket = {};
    if (!asked || !this.wantsOutlines) { this.outlines.clearLayers(); return; }
    if (this.mpp() > SlideMap.OUTLINES_TO_MPP) {
      this.outlines.clearLayers();
      this.onHint("Outlines are shown from 10×.");
      return;
    }
    const view = this.map.getBounds();
    const box = {
      x: Math.floor(view.getWest() * this.step), y: Math.floor(-view.getNorth() * this.step),
      width: Math.ceil((view.getEast() - view.getWest()) * this.step),
      height: Math.ceil((view.getNorth() - view.getSouth()) * this.step),
    };
    const answer = await fetch(`/api/cases/${asked.number}/outlines?${new URLSearchParams(box)}`);
    const found = await answer.json();
    // Another view was asked for meanwhile.
    if (ticket !== this.ticket) return;
    this.outlines.clearLayers();
    if (!answer.ok || found.cells === null) {
      this.onHint(answer.ok ? `${found.n_cells} cells in view: go closer to see their outlines.`
        : found.detail);
      return;
    }
    this.onHint("");
    this.draw(found.cells);
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
      const box = L.DomUtil.create("div", "scale");
      this.scaleWords = L.DomUtil.create("div", "", box);
      this.scaleBar = L.DomUtil.create("div", "bar", box);
      return box;
    };
    scale.addTo(this.map);
  }

  drawScale() {
    if (!this.shown) return;
    const mpp = this.mpp();
    const fitting = SlideMap.BAR_LENGTHS_UM.filter((um) => um / mpp <= 140);
    const um = fitting.length ? fitting[fitting.length - 1] : SlideMap.BAR_LENGTHS_UM[0];
    const power = 10 / mpp;
    const words = um < 1000 ? `${um} µm` : `${um / 1000} mm`;
    this.scaleWords.textContent = `${words} · ${power < 10 ? power.toFixed(1) : Math.round(power)}×`;
    this.scaleBar.style.width = `${um / mpp}px`;
  }
}
