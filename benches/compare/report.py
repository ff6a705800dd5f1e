"""What was measured, as a Markdown table and as an SVG chart."""

import datetime
import platform
import re
import statistics

from peers import ROOT

START, END = "<!-- compare: start -->", "<!-- compare: end -->"
NAMES = {
    "nginx": "nginx, only proxying", "haproxy-proxy": "HAProxy, only proxying", "empty-pingora": "an empty Pingora proxy",
    "haproxy-jwt": "HAProxy jwt_verify", "envoy": "Envoy jwt_authn + RBAC",
    "envoy-default-cache": "Envoy, default token cache", "envoy-1000": "Envoy, 1,000 RBAC policies", "scopegate": "Scopegate",
    "scopegate-100000": "Scopegate, 100,000 services", "scopegate-candidate": "Scopegate with a shadow",
}


def spread(values):
    """The median, and how far the rounds lie around it."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def ratios(mine, theirs):
    """Round by round, as both were measured within seconds of each other."""
    return [a / b for a, b in zip(mine, theirs)]


def table(rows, measured):
    lines = ["| against | Scopegate, µs | theirs, µs | ratio | to reach | |", "|---|---|---|---|---|---|"]
    for name, mine, theirs, most in rows:
        ratio = statistics.median(ratios(measured[mine], measured[theirs]))
        goal = "" if most is None else f"≤ {most:.2f}"
        met = "" if most is None else ("met" if round(ratio, 2) <= most else "not met")
        lines.append(f"| {name} | {spread(measured[mine])} | {spread(measured[theirs])} | {ratio:.2f} | {goal} | {met} |")
    return "\n".join(lines)


def write(text, rows, measured, options):
    """Puts the table into docs/performance.md, between its marks, and draws docs/performance.svg."""
    page = ROOT / "docs" / "performance.md"
    day = datetime.date.today().isoformat()
    made = (f"{day}, {processor()}, Linux {platform.release().split('-')[0]}; "
            f"medians of {options.rounds} rounds of {options.seconds} s, least to greatest in brackets.")
    before, _, rest = page.read_text().partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n{made}\n\n{text}\n{END}{after}")
    (ROOT / "docs" / "performance.svg").write_text(chart(measured))


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return found[1] if found else platform.machine()


def chart(measured):
    """Bars of CPU microseconds a request with one token, the cheapest first."""
    bars = sorted((statistics.median(values), peer) for (peer, load), values in measured.items() if load == "one token")
    scale, left, height = 420 / bars[-1][0], 210, 26
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height * len(bars) + 50}" '
             'font-family="system-ui, sans-serif" font-size="13">',
             '<style>text { fill: #333 } @media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>',
             '<text x="0" y="18" font-weight="bold">CPU µs a request, one core, RS256 token (less is better)</text>']
    for place, (value, peer) in enumerate(bars):
        y = 34 + place * height
        colour = "#1a7f64" if peer.startswith("scopegate") else "#9aa5b1"
        lines.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{NAMES[peer]}</text>')
        lines.append(f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="{height - 7}" fill="{colour}"/>')
        lines.append(f'<text x="{left + value * scale + 6:.1f}" y="{y + 14}">{value:.1f}</text>')
    return "\n".join([*lines, "</svg>", ""])
