#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""server/data/make_pictures.py: draws the pictures of the demo rooms into server/data/imgs.

A floor plan each, in the colour of its room: walls, a door, and as many desks as there are seats.
The files are in the tree; this is how they were made, and how to make others.
"""

import os
import struct
import zlib

WIDTH, HEIGHT = 160, 120
COLOURS = {"green": (60, 150, 80), "red": (190, 60, 50), "yellow": (225, 180, 40)}
# columns and rows of desks, and on which wall the door is, for each picture
PICTURES = {
    "green_1": (2, 2, "left"), "green_2": (4, 1, "right"),
    "red_1": (10, 5, "left"),
    "yellow_1": (1, 1, "left"), "yellow_2": (1, 1, "right"), "yellow_3": (1, 1, "top"),
}
FLOOR, WALL, DESK, DOOR = range(4)


def fill(pixels, left, top, width, height, value):
    for y in range(top, top + height):
        for x in range(left, left + width):
            pixels[y][x] = value


def draw(columns, rows, door):
    pixels = [[FLOOR] * WIDTH for _ in range(HEIGHT)]
    for left, top, width, height in ((0, 0, WIDTH, 5), (0, HEIGHT - 5, WIDTH, 5),
                                     (0, 0, 5, HEIGHT), (WIDTH - 5, 0, 5, HEIGHT)):
        fill(pixels, left, top, width, height, WALL)
    left, top, width, height = {"left": (0, 45, 5, 30), "right": (WIDTH - 5, 45, 5, 30),
                                "top": (65, 0, 30, 5)}[door]
    fill(pixels, left, top, width, height, DOOR)
    across, down = (WIDTH - 30) // columns, (HEIGHT - 30) // rows
    for column in range(columns):
        for row in range(rows):
            fill(pixels, 15 + column * across + across // 6, 15 + row * down + down // 6,
                 across * 2 // 3, down * 2 // 3, DESK)
    return pixels


def png(pixels, colour):
    """Two bits a pixel and a palette (PNG specification, sections 5 and 11)."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))

    light = tuple(255 - (255 - c) // 4 for c in colour)
    palette = bytes(light + tuple(c // 2 for c in colour) + colour + (255, 255, 255))
    lines = b"".join(
        b"\0" + bytes(row[x] << 6 | row[x + 1] << 4 | row[x + 2] << 2 | row[x + 3]
                      for x in range(0, WIDTH, 4)) for row in pixels)
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 2, 3, 0, 0, 0)) +
            chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(lines, 9)) +
            chunk(b"IEND", b""))


def main():
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imgs")
    os.makedirs(directory, exist_ok=True)
    for name, (columns, rows, door) in PICTURES.items():
        with open(os.path.join(directory, name + ".png"), "wb") as file:
            file.write(png(draw(columns, rows, door), COLOURS[name.split("_")[0]]))


if __name__ == "__main__":
    main()
