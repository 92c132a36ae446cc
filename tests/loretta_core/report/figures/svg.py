"""Reading an SVG in tests: its texts, where they stand, its size; and the cells and contenders to draw."""

import re
from xml.etree import ElementTree

from tests.loretta_core.report.synthetic import findings_of, rows_of, write_sweep

SVG = "{http://www.w3.org/2000/svg}"


def rows_with(tmp_path, *records):
    return rows_of(write_sweep(tmp_path, records=list(records)))


def standings_with(tmp_path, *records):
    return findings_of(write_sweep(tmp_path, records=list(records))).standings


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def size(svg):
    return [float(number) for number in ElementTree.fromstring(svg).attrib["viewBox"].split()[2:]]


def boxes_of_names(svg, names):
    """Return where texts stand, roughly: from the position in the SVG and the number of letters."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        text = "".join(element.itertext()).strip()
        place_of = re.search(r"translate\(([\d.]+) ([\d.]+)\)", element.attrib.get("transform", ""))
        x, y = (float(part) for part in place_of.groups()) if place_of else (float(element.attrib["x"]), float(element.attrib["y"]))
        if text in names:
            found.append((text, x, y))
    return found
