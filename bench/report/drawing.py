"""The plots' common ground: colours, and a matplotlib figure measured in pixels that becomes SVG.

Text stays text, in the page's own font. matplotlib measures it in DejaVu Sans, which is wider than
most, so what fits here fits there.
"""

import io
import itertools
import xml.etree.ElementTree as xml

import matplotlib
from harness.allocators import LIMIT, SUBJECT, SYSTEM
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "quarry", "path.simplify": False}

INK, FAINT, LEADER, LINE, ALARM = "#1a1a1a", "#5f6368", "#a9adb2", "#d5d7da", "#b3261e"
FONTS = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"

# Told apart by people who see no red or no green as well (Okabe and Ito 2008, "Color universal
# design"; Tol 2021, "muted"); the three that stand for something come first.
SPECIAL = {SUBJECT: "#d55e00", SYSTEM: "#8a8d91", LIMIT: "#c8ccd0"}
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#332288", "#c6a300", "#882255", "#117733")

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
xml.register_namespace("", SVG)
xml.register_namespace("xlink", XLINK)
drawings = itertools.count(1)


def colours(run):
    """{allocator: colour}, the same in all plots of a run."""
    others = [name for name in run["allocators"] if name not in SPECIAL]
    return SPECIAL | dict(zip(others, itertools.cycle(COLOURS)))


def weight(name):
    return "bold" if name == SUBJECT else "normal"


class drawing:
    """One figure; `title` says in words what it shows, for those who do not see it."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)  # as the SVG backend has it
        FigureCanvasSVG(self.figure)

    def axes(self, left, top, width, height):
        """Axes without a frame, at a place in pixels."""
        axes = self.figure.add_axes([left / self.width, 1 - (top + height) / self.height,
                                     width / self.width, height / self.height])
        axes.set_frame_on(False)
        axes.tick_params(length=0, labelsize=10, labelcolor=FAINT, pad=4)
        axes.set_axisbelow(True)
        return axes

    def text(self, x, y, text, **style):
        style = {"size": 11, "color": INK, "va": "baseline"} | style
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def element(self):
        """The picture as an XML element fit for a page with many others: no id occurs twice."""
        raw = io.BytesIO()
        self.figure.savefig(raw, format="svg", transparent=True,
                            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        root = xml.fromstring(raw.getvalue())
        root.attrib = {"viewBox": f"0 0 {self.width} {self.height}", "width": str(self.width),
                       "height": str(self.height), "role": "img", "stroke-linejoin": "round"}
        for parent in list(root.iter()):
            parent.text, parent.tail = trimmed(parent.text), None
            for style in parent.findall(f"{{{SVG}}}style"):
                parent.remove(style)
            own_font(parent)
        own_ids(root, f"d{next(drawings)}")
        title = xml.Element(f"{{{SVG}}}title")
        title.text = self.title
        root.insert(0, title)
        return root

    def inline(self):
        return xml.tostring(self.element(), encoding="unicode")

    def file(self):
        """The picture as a file of its own, on white."""
        root = self.element()
        root.set("font-family", FONTS)
        root.insert(1, xml.Element(f"{{{SVG}}}rect", width="100%", height="100%", fill="#fff"))
        return xml.tostring(root, encoding="unicode") + "\n"


def trimmed(text):
    return text if text and text.strip() else None


def own_font(element):
    """font: 700 10px 'DejaVu Sans', ...; -> the size and weight alone, the family is inherited."""
    properties = dict(part.strip().split(": ", 1)
                      for part in element.get("style", "").split(";") if part.strip())
    font = properties.pop("font", None)
    if font is None:
        return
    *emphasis, size = font.split("px")[0].split()
    properties |= {"font-size": size + "px"} | ({"font-weight": emphasis[0]} if emphasis else {})
    element.set("style", "; ".join(f"{name}: {value}" for name, value in properties.items()))


def own_ids(root, prefix):
    """Drops the ids that nothing refers to and makes the others unique."""
    references = {name: value for element in root.iter() for name, value in
                  ((value.split("#")[1].rstrip(")"), value)
                   for value in element.attrib.values() if value.startswith(("#", "url(#")))}
    for element in root.iter():
        for attribute, value in list(element.attrib.items()):
            if attribute == "id" and value not in references:
                del element.attrib[attribute]
            elif attribute == "id":
                element.set("id", f"{prefix}-{value}")
            elif value.startswith(("#", "url(#")):
                element.set(attribute, value.replace("#", f"#{prefix}-"))
