"""Bar charts as SVG."""
import html

import figures

WIDTH, LEFT, RIGHT, ROW, TOP = 720, 230, 110, 26, 38
OURS, OTHERS = "#2f6f4f", "#9aa5ab"


def bars(title, rows):
    """rows: (name, value, text, whether it is ours). From zero, to scale."""
    scale = (WIDTH - LEFT - RIGHT) / max(value for _, value, _, _ in rows)
    height = TOP + ROW * len(rows) + 8
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="13" fill="#222">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="8" y="22" font-size="15" font-weight="bold">{html.escape(title)}</text>']
    for i, (name, value, text, ours) in enumerate(rows):
        y = TOP + ROW * i
        width = max(1, value * scale)
        lines += [f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{html.escape(name)}</text>',
                  f'<rect x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="{ROW - 8}" fill="{OURS if ours else OTHERS}"/>',
                  f'<text x="{LEFT + width + 6:.1f}" y="{y + 15}">{html.escape(text)}</text>']
    return "\n".join([*lines, "</svg>", ""])


# Name of the picture, section of the page, its title, and (what a bar is called, key of its figure).
PLOTS = [
    ("rates", "Rates", "Durable jobs a second, 50 in flight, syncs of 1 ms", [
        ("bare SQLite, one thread", "bare_pipeline_rate"), ("Holdfast, C API", "pipeline_rate"), ("Holdfast, Unix socket", "socket_rate"),
        ("redis, appendfsync always", "redis_rate"), ("beanstalkd -f0", "beanstalkd_rate")]),
    ("bytes", "The disk", "Bytes written a job", [
        ("bare SQLite, sequential", "bare_sequential_bytes"), ("Holdfast, sequential", "sequential_bytes"), ("Holdfast, sequential, kept", "keep_bytes"),
        ("bare SQLite, 50 in flight", "bare_pipeline_bytes"), ("Holdfast, 50 in flight", "pipeline_bytes")]),
    ("instructions", "The processor", "Instructions a job, in thousands", [
        ("bare SQLite, sequential", "bare_sequential_instructions"), ("Holdfast, sequential", "sequential_instructions"),
        ("bare SQLite, 50 in flight", "bare_pipeline_instructions"), ("Holdfast, 50 in flight", "pipeline_instructions")]),
]


def of(all_figures):
    """{name: (section, title, SVG)}"""
    known = {one.key: one for one in all_figures}
    plots = {}
    for name, section, title, wanted in PLOTS:
        rows = [(called, known[key].value, figures.number(known[key].value), called.startswith("Holdfast")) for called, key in wanted if key in known]
        if rows:
            plots[name] = (section, title, bars(title, rows))
    return plots
