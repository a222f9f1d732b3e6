"""Panels of a Grafana board, drawn as they look there: rows, single values, lines and states over time, bars. Gives SVG."""

import math
import time
from html import escape

WIDTH, MARGIN, GAP, CELL = 1600, 12, 8, 30
HEADER = 52
PAPER, SHEET, EDGE, INK, PALE, GRID = "#111217", "#181b1f", "#2a2d33", "#d5d6e0", "#8f929c", "#26292f"
FONT = "Inter, Helvetica, Arial, sans-serif"
PALETTE = ["#73BF69", "#F2CC0C", "#5794F2", "#FF780A", "#F2495C", "#B877D9", "#8AB8FF", "#FFA6B0", "#56A64B", "#FADE2A", "#3274D9", "#FF9830", "#E02F44", "#A352CC",
           "#37872D", "#E0B400"]
COLORS = {"green": "#56A64B", "red": "#E02F44", "orange": "#FF9830", "blue": "#3274D9", "purple": "#A352CC", "yellow": "#F2CC0C", "text": INK}
COLUMN = (WIDTH - 2 * MARGIN + GAP) / 24
TIMES = [(604_800, "weeks"), (86_400, "days"), (3_600, "hours"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")]


def picture(title, panels, begin, end):
    """The whole board: pairs of a panel and its series, each series a name and its points."""
    height = HEADER + MARGIN + max((panel["gridPos"]["y"] + panel["gridPos"]["h"]) * (CELL + GAP) for panel, _ in panels)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="{FONT}" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>', *header(title, begin, end)]
    for panel, series in panels:
        place = panel["gridPos"]
        box = (MARGIN + place["x"] * COLUMN, HEADER + place["y"] * (CELL + GAP), place["w"] * COLUMN - GAP, place["h"] * (CELL + GAP) - GAP)
        parts += {"row": row, "stat": stat, "timeseries": timeseries, "state-timeline": states, "bargauge": bargauge}[panel["type"]](panel, series, box, (begin, end))
    return "\n".join([*parts, "</svg>"]) + "\n"


def header(title, begin, end):
    clock = lambda at: time.strftime("%H:%M", time.gmtime(at))
    yield text(MARGIN + 4, 32, title, 18, weight=600)
    at = MARGIN + 124
    for name, value in (("Data source", "Prometheus"), ("Node", "All")):
        left, right = wide(name, 12) + 18, wide(value, 12) + 20
        yield f'<rect x="{at}" y="14" width="{left + right:.0f}" height="26" rx="2" fill="{SHEET}" stroke="{EDGE}"/>'
        yield text(at + 9, 31, name, 12, PALE) + text(at + left + 8, 31, value, 12)
        at += left + right + 10
    yield text(WIDTH - MARGIN - 4, 31, f"{clock(begin)} to {clock(end)} UTC", 13, PALE, "end")


def row(panel, _, box, __):
    x, y, _, h = box
    yield f'<path d="M{x + 3:.1f} {y + h / 2 - 2:.1f} l4.5 4.5 l4.5 -4.5" fill="none" stroke="{PALE}" stroke-width="1.6"/>' + text(x + 20, y + h / 2 + 5, panel["title"], 14, weight=600)


def sheet(panel, box):
    x, y, w, h = box
    yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="2" fill="{SHEET}" stroke="{EDGE}"/>' + text(x + 10, y + 21, panel["title"], 13, weight=500)


def stat(panel, series, box, _):
    """One value, or several beside each other, on the color that its threshold has."""
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    names = panel["options"].get("textMode") == "name"
    values = [(name, last(points)) for name, points in series] or [("", math.nan)]
    each = w / len(values)
    for count, (name, value) in enumerate(values):
        words, color = shown(value, defaults)
        words = name if names else words
        size = min(34, (each - 16) / max(wide(words, 1), 0.1))
        yield f'<rect x="{x + count * each:.1f}" y="{y:.1f}" width="{each:.1f}" height="{h:.1f}" rx="2" fill="{color}"/>'
        yield text(x + (count + 0.5) * each, y + h / 2 + 10 + size * 0.36, words, size, "#ffffff", "middle", 600)
    yield text(x + 10, y + 21, panel["title"], 13, "#ffffff", weight=500)


def bargauge(panel, series, box, _):
    """Bars from left to right, each with its name above it where there is room, else before it."""
    yield from sheet(panel, box)
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    found = [(name, last(points)) for name, points in series]
    top = defaults.get("max") or max((value for _, value in found if value == value), default=1) or 1
    space, label = (h - 40) / max(len(found), 1), min(max((wide(name, 12) for name, _ in found), default=0) + 14, w * 0.55)
    for count, (name, value) in enumerate(found):
        words, color = shown(value, defaults)
        at, bar = y + 34 + count * space, min(space - 5, 26)
        whole = w - label - 84
        yield text(x + label, at + bar / 2 + 4, fit(name, label - 12, 12), 12, INK, "end")
        yield f'<rect x="{x + label + 8:.1f}" y="{at:.1f}" width="{whole:.1f}" height="{bar:.1f}" rx="2" fill="{GRID}"/>'
        filled = whole * max(0.0, min(1.0, value / top)) if value == value else 0
        yield f'<rect x="{x + label + 8:.1f}" y="{at:.1f}" width="{filled:.1f}" height="{bar:.1f}" rx="2" fill="{color}" fill-opacity="0.85"/>'
        yield text(x + w - 68, at + bar / 2 + 5, words, 14, color, weight=600)


def states(panel, series, box, span):
    """A line of colors over time for each."""
    yield from sheet(panel, box)
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    legend_of = {found["text"]: COLORS[found["color"]] for mapping in defaults["mappings"] for found in mapping["options"].values()}
    label = min(max((wide(name, 11) for name, _ in series), default=0) + 12, w * 0.45)
    left, right, space = x + label + 6, x + w - 12, (h - 36 - 50) / max(len(series), 1)
    sx = lambda at: left + (at - span[0]) / (span[1] - span[0]) * (right - left)
    for count, (name, points) in enumerate(series):
        at = y + 36 + count * space
        yield text(left - 8, at + space / 2 + 4, fit(name, label - 6, 11), 11, INK, "end")
        points, begin = [point for point in points if point[1] == point[1]], 0
        for end in range(1, len(points) + 1):
            if end == len(points) or points[end][1] != points[begin][1]:
                until = sx(points[end][0] if end < len(points) else points[-1][0])
                color = shown(points[begin][1], defaults)[1]
                yield f'<rect x="{sx(points[begin][0]):.1f}" y="{at + space * 0.1:.1f}" width="{max(until - sx(points[begin][0]), 1):.1f}" height="{space * 0.8:.1f}" fill="{color}" fill-opacity="0.85"/>'
                begin = end
    for at in moments(*span, right - left):
        yield text(sx(at), y + h - 34, time.strftime("%H:%M", time.gmtime(at)), 11, PALE, "middle")
    at = x + 10
    for name, color in legend_of.items():
        yield f'<rect x="{at:.1f}" y="{y + h - 16:.1f}" width="14" height="4" rx="1.5" fill="{color}"/>' + text(at + 19, y + h - 10, name, 11, PALE)
        at += wide(name, 11) + 34


def timeseries(panel, series, box, span):
    """Lines or stacked areas over time, with both axes and a legend below."""
    yield from sheet(panel, box)
    x, y, w, h = box
    defaults = panel["fieldConfig"]["defaults"]
    series = [(name, [(at, value) for at, value in points if math.isfinite(value)]) for name, points in series]
    series = [(name, points) for name, points in series if points]
    colors = colored(panel, [name for name, _ in series])
    lines = legend([name for name, _ in series], colors, x + 10, w - 20)
    stacked = defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal"
    curves = stack(series) if stacked else [(name, points, None) for name, points in series]
    top = max((value for _, points, _ in curves for _, value in points), default=0)
    ticks = scale(top, defaults)
    left = x + 14 + max(wide(axis(tick, defaults), 11) for tick in ticks)
    bottom, height = y + h - 30 - 18 * len(lines), h - 30 - 18 * len(lines) - 36
    right = x + w - 12
    sx = lambda at: left + (at - span[0]) / (span[1] - span[0]) * (right - left)
    sy = lambda value: bottom - value / ticks[-1] * height
    for tick in ticks:
        yield f'<path d="M{left:.1f} {sy(tick):.1f} H{right:.1f}" stroke="{GRID}"/>' + text(left - 6, sy(tick) + 4, axis(tick, defaults), 11, PALE, "end")
    for at in moments(*span, w):
        yield f'<path d="M{sx(at):.1f} {bottom:.1f} V{bottom - height:.1f}" stroke="{GRID}"/>'
        yield text(sx(at), bottom + 16, time.strftime("%H:%M", time.gmtime(at)), 11, PALE, "middle")
    fill = defaults.get("custom", {}).get("fillOpacity", 0) / 100
    for name, points, below in reversed(curves):
        for part, base in pieces(points, below):
            if defaults.get("custom", {}).get("drawStyle") == "bars":
                thick = max((right - left) / max(len(points), 1) * 0.7, 1)
                for (at, value), (_, floor) in zip(part, base or [(at, 0) for at, _ in part]):
                    if value > floor:
                        yield f'<rect x="{sx(at) - thick / 2:.1f}" y="{sy(value):.1f}" width="{thick:.1f}" height="{sy(floor) - sy(value):.1f}" fill="{colors[name]}" fill-opacity="{fill}"/>'
                continue
            path = "M" + " L".join(f"{sx(at):.1f} {sy(value):.1f}" for at, value in part)
            if fill:
                back = " L".join(f"{sx(at):.1f} {sy(value):.1f}" for at, value in reversed(base or [(at, 0) for at, _ in part]))
                yield f'<path d="{path} L{back} Z" fill="{colors[name]}" fill-opacity="{fill}"/>'
            yield f'<path d="{path}" fill="none" stroke="{colors[name]}" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round"/>'
    for count, line in enumerate(lines):
        for at, name in line:
            level = y + h - 10 - 18 * (len(lines) - 1 - count)
            if name in colors:
                yield f'<rect x="{at:.1f}" y="{level - 6:.1f}" width="14" height="4" rx="1.5" fill="{colors[name]}"/>'
            yield text(at + 19, level, fit(name, w - 50, 11), 11, PALE)


def stack(series):
    """Each curve on top of those before it, with where it stands on."""
    moments_of = sorted({at for _, points in series for at, _ in points})
    floor, curves = dict.fromkeys(moments_of, 0.0), []
    for name, points in series:
        values = dict(points)
        below = [(at, floor[at]) for at in moments_of]
        floor = {at: floor[at] + values.get(at, 0.0) for at in moments_of}
        curves.append((name, list(floor.items()), below))
    return curves


def pieces(points, below):
    """Cut where there is a gap."""
    step = min((after - before for (before, _), (after, _) in zip(points, points[1:])), default=1)
    begin = 0
    for count in range(1, len(points) + 1):
        if count == len(points) or points[count][0] - points[count - 1][0] > 1.5 * step:
            yield points[begin:count], below and below[begin:count]
            begin = count


def legend(names, colors, left, width):
    """Lines of pairs of place and name: two at most, then how many more there are."""
    lines, at = [[]], left
    for count, name in enumerate(names):
        room = min(wide(name, 11), width - 40) + 34
        if at + room > left + width and lines[-1]:
            if len(lines) == 2:
                while lines[-1] and at + 60 > left + width:
                    at = lines[-1].pop()[0]
                    count -= 1
                return [*lines[:-1], [*lines[-1], (at - 16, f"and {len(names) - count} more")]]
            lines, at = [*lines, []], left
        lines[-1].append((at, name))
        at += room
    return lines


def colored(panel, names):
    """The board's own colors first, then the palette in turn."""
    own = {}
    for override in panel["fieldConfig"].get("overrides", []):
        for change in override["properties"]:
            if change["id"] == "color":
                own[override["matcher"]["options"]] = change["value"]["fixedColor"]
    return {name: COLORS.get(own[name], own[name]) if name in own else PALETTE[count % len(PALETTE)] for count, name in enumerate(names)}


def shown(value, defaults):
    """Words and color of a value."""
    if value != value:
        return defaults.get("noValue", "no data"), COLORS["blue"] if "noValue" in defaults else "#3a3d44"
    for mapping in defaults.get("mappings", []):
        found = mapping["options"].get(f"{value:g}")
        if found:
            return found["text"], COLORS[found["color"]]
    color = COLORS["green"]
    for step in defaults.get("thresholds", {}).get("steps", []):
        if step["value"] is None or value >= step["value"]:
            color = COLORS[step["color"]]
    return " ".join(measured(value, defaults)), color


def axis(value, defaults):
    return " ".join(measured(value, {**defaults, "decimals": None}))


def measured(value, defaults):
    """Number and unit, as Grafana writes them."""
    unit, decimals = defaults.get("unit", "short"), defaults.get("decimals")
    if unit == "percentunit":
        return (number(100 * value, decimals) + "%",)
    if unit == "s":
        size, name = next(((size, name) for size, name in TIMES if abs(value) >= size), (1, "s"))
        return number(value / size, decimals), name
    if unit in ("reqps", "short", "none") and abs(value) >= 10_000 and unit != "none":
        return number(value / 1000, decimals) + "K", *(["req/s"] if unit == "reqps" else [])
    return (number(value, decimals), "req/s") if unit == "reqps" else (number(value, decimals),)


def number(value, decimals):
    if decimals is None:
        decimals = 0 if abs(value) >= 100 or value == round(value) else 1 if abs(value) >= 10 else 2
        return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    return f"{value:.{decimals}f}"


def scale(top, defaults):
    """Values for the axis, from zero to above the highest."""
    top = top * 1.05 or 1.0
    if defaults.get("unit") == "s" and top >= 60:
        step = next(step for step in (15, 30, 60, 120, 300, 600, 1_800, 3_600, 86_400) if top / step <= 5 or step == 86_400)
    else:
        power = 10 ** math.floor(math.log10(top / 4))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if top / (power * factor) <= 4.5)
    return [count * step for count in range(math.ceil(top / step) + 1)]


def moments(begin, end, width):
    """Whole minutes for the axis."""
    step = next(step for step in (60, 120, 300, 600, 1_800, 3_600, 7_200) if (end - begin) / step <= width / 75)
    return range(math.ceil(begin / step) * step, int(end) + 1, step)


def last(points):
    return next((value for _, value in reversed(points) if value == value), math.nan)


def wide(words, size):
    """About how wide a text becomes."""
    return sum(0.3 if letter in "iIl.,:;'|!j " else 0.87 if letter in "mwMW%" else 0.66 if letter.isupper() else 0.58 for letter in words) * size


def fit(words, width, size):
    while wide(words, size) > width and len(words) > 2:
        words = words.rstrip("…")[:-1] + "…"
    return words


def text(x, y, words, size, color=INK, anchor="start", weight=400):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.3g}" fill="{color}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
