"""Pictures of pages for the documents: of few colours, so that they weigh little."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from pathlib import Path

from playwright.sync_api import Browser, Page

# Where they are written; none are made without it.
_FOLDER = os.environ.get("CONDARIUM_PICTURES", "")
WANTED = bool(_FOLDER)

# The most frequent colours as they are, and the nearest of them for all others.
_FEW_COLOURS = """async (source) => {
  const bitmap = await createImageBitmap(await (await fetch(source)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(
    canvas.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
  const seen = new Map();
  for (const pixel of pixels) seen.set(pixel, (seen.get(pixel) || 0) + 1);
  const palette = [...seen.keys()].sort((a, b) => seen.get(b) - seen.get(a)).slice(0, COLOURS);
  const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const known = palette.map(parts), nearest = new Map();
  for (const pixel of seen.keys()) {
    const [r, g, b] = parts(pixel);
    let best = 0, least = Infinity;
    known.forEach(([x, y, z], index) => {
      const far = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
      if (far < least) [best, least] = [index, far];
    });
    nearest.set(pixel, best);
  }
  let indices = "";
  for (const pixel of pixels) indices += String.fromCharCode(nearest.get(pixel));
  return [bitmap.width, bitmap.height, known.flat(), btoa(indices)];
}""".replace("COLOURS", "64")


def take_picture(browser: Browser, page: Page, name: str) -> None:
    """Write what the window shows, if pictures are wanted."""
    if not WANTED:
        return
    shot = base64.b64encode(page.screenshot(caret="hide")).decode("ascii")
    painter = browser.new_page()  # of no site, and so of no policy
    width, height, palette, indices = painter.evaluate(
        _FEW_COLOURS, f"data:image/png;base64,{shot}"
    )
    painter.close()
    folder = Path(_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    picture = _png(width, height, bytes(palette), base64.b64decode(indices))
    (folder / f"{name}.png").write_bytes(picture)


def _png(width: int, height: int, palette: bytes, indices: bytes) -> bytes:
    rows = b"".join(
        b"\0" + indices[start : start + width] for start in range(0, len(indices), width)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data) for kind, data in (*chunks, (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
