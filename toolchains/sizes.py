#!/usr/bin/env python3
"""What Holdfast weighs, by component, from the linker's maps of what has been built here.

  sizes.py [--machine armhf|native]   the tables, of the presets minsize and smallest
  sizes.py --page FILE                ... written into FILE between its marks <!-- sizes --> and <!-- /sizes -->
  sizes.py --switches [--page FILE]   what each HOLDFAST_WITH_... saves: builds the preset (without LTO) once for each

Bytes of code, constants and data in the file, without what only a debugger reads. See docs/size.md.
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = {"armhf": "arm-linux-gnueabihf-", "arm64": "aarch64-linux-gnu-", "native": ""}
LIBRARIES = ["sqlite3", "uv", "mbedtls", "llhttp", "cctz", "z", "zstd", "mosquitto"]
HEADERS = {"nlohmann::": "json", "CLI::": "cli11"}  # libraries that are headers: told by their names
ROOMS = ["core", "platform", "handlers", "apps"]
SHARED = "holdfast: constants, and what the linker cannot tell apart"
ORDER = ROOMS + [SHARED] + list(HEADERS.values()) + LIBRARIES + ["libstdc++, libgcc", "libc"]
KEPT = re.compile(r"\.(text|rodata|data|tdata|ARM\.ex|init|fini|got|eh_frame|gcc_except|preinit|ctors|__libc|plt|iplt|rel)")


def run(*argv, stdin=None):
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout


def sections(path):
    """(section, bytes, file) of each input section that is in the program."""
    section, on = None, False
    for line in open(path, errors="replace"):
        on = on or line.startswith("Linker script and memory map")
        if not on:
            continue
        if line.startswith("/DISCARD/"):
            return
        alone = re.match(r"^ (\.\S+|COMMON)\s*$", line)
        if alone:
            section = alone[1]
            continue
        here = re.match(r"^ (\.\S+|COMMON)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$", line)
        if here and (here[1] or section) and int(here[2], 16) and KEPT.match(here[1] or section):
            yield here[1] or section, int(here[3], 16), here[4]
        section = None


def symbol_of(section):
    name = re.sub(r"^\.(ARM\.ex\w+\.)?(text|rodata|data)(\.rel\.ro|\.rel)?(\.local)?(\.(unlikely|startup|exit|hot)(?=\.))?\.?", "", section)
    return re.sub(r"\.(isra|part|constprop|cold|lto_priv|localalias|str|cst)\.?\d*.*$", "", name)


class Rooms:
    """Which room a function is from. Link-time optimisation makes one object of all: the objects before it know."""

    def __init__(self, build, tool):
        self.symbols, self.classes = {}, collections.defaultdict(collections.Counter)
        for room in ROOMS:
            folder = f"{build}/apps/CMakeFiles/holdfast_app.dir" if room == "apps" else f"{build}/CMakeFiles/hf_{room}.dir"
            objects = glob.glob(folder + "/**/*.o", recursive=True)
            if not objects:
                continue
            names = {line.split()[-1] for line in run(tool + "gcc-nm", "--defined-only", *objects).splitlines() if len(line.split()) > 1}
            for name, text in zip(names, run("c++filt", stdin="\n".join(names)).splitlines()):
                self.symbols.setdefault(name, room)
                scope = re.match(r"(hf::\w+)::", text)
                if scope:
                    self.classes[scope[1]][room] += 1

    def of(self, name, text):
        if name in self.symbols:
            return self.symbols[name]
        for word in re.findall(r"hf::\w+", text):
            if word in self.classes:
                return self.classes[word].most_common(1)[0][0]
        return SHARED


def components(path, build, tool):
    rooms, sums, pending = Rooms(build, tool), collections.Counter(), []
    for section, size, file in sections(path):
        archive = re.search(r"lib(\w[\w+-]*)\.a\(", file)
        if archive:
            name = archive[1]
            where = name if name in LIBRARIES else "libstdc++, libgcc" if re.match(r"stdc\+\+|gcc|supc", name) else "libc"
            sums[where] += size
        elif re.search(r"crt\w*\.o$", file):
            sums["libc"] += size
        else:
            pending.append((symbol_of(section), size, file))
    names = [name for name, _, _ in pending]
    for (name, size, file), text in zip(pending, run("c++filt", stdin="\n".join(names)).split("\n")):
        header = next((where for mark, where in HEADERS.items() if mark in text), None)
        of_object = re.search(r"hf_(core|platform|handlers)\.dir|(holdfast_app)\.dir", file)
        room = (of_object[1] or "apps") if of_object else "the program itself" if "/size_" in file else rooms.of(name, text)
        sums[header or room] += size
    return sums


def number(n):
    return f"{n:,}".replace(",", " ") if n else ""


def stripped(file, tool):
    if not os.path.exists(file):
        return 0
    out = f"/tmp/holdfast-stripped-{os.getpid()}"
    run(tool + "strip", "-o", out, file)
    size = os.path.getsize(out)
    os.unlink(out)
    return size


def needed_size(file, tool):
    if not os.path.exists(file):
        return 0
    names = re.findall(r"NEEDED.*\[(.*)\]", run(tool + "readelf", "-d", file))
    return sum(stripped(os.path.realpath(run(tool + "g++", "-print-file-name=" + name).strip()), tool) for name in names)


def compiler(tool):
    return run(tool + "g++", "--version").splitlines()[0]


def report(machine):
    tool, prefix = TOOLS[machine], "" if machine == "native" else machine + "-"
    whole, small = f"{ROOT}/build/{prefix}minsize", f"{ROOT}/build/{prefix}smallest"
    files = [("`holdfast`, with libstdc++ inside and libc beside it", f"{whole}/apps/holdfast"),
             ("what it finds on the device: libc, libm and the loader", None),
             ("`libholdfast.so`, as `holdfast`", f"{whole}/libholdfast.so"),
             ("`holdfast-static`, libc inside: one file", f"{whole}/apps/holdfast-static"),
             ("the smallest embed, static, libc inside", f"{small}/tests/size/size_embed"),
             ("a program with SQLite and libuv alone, static", f"{small}/tests/size/size_beside")]
    lines = [f"{machine}, {compiler(tool)}, {time.strftime('%Y-%m-%d')}", "", "| stripped | bytes |", "|---|---:|"]
    lines += [f"| {what} | {number(stripped(file, tool) if file else needed_size(f'{whole}/apps/holdfast', tool)) or 'not built'} |" for what, file in files]
    columns = []
    for title, build, path in [("holdfast-static", whole, f"{whole}/holdfast-static.map"),
                               ("smallest embed", small, f"{small}/tests/size/size_embed.map"),
                               ("SQLite and libuv", small, f"{small}/tests/size/size_beside.map")]:
        if os.path.exists(path):
            columns.append((title, components(path, build, tool)))
    lines += ["", "| component | " + " | ".join(title for title, _ in columns) + " |", "|---|" + "---:|" * len(columns)]
    keys = ORDER + sorted({key for _, sums in columns for key in sums} - set(ORDER))
    for key in keys:
        if any(sums[key] for _, sums in columns):
            lines.append(f"| {key} | " + " | ".join(number(sums[key]) for _, sums in columns) + " |")
    lines.append("| **together** | " + " | ".join(number(sum(sums.values())) for _, sums in columns) + " |")
    of = dict(columns)
    if "smallest embed" in of and "SQLite and libuv" in of:
        embed, beside = of["smallest embed"], of["SQLite and libuv"]
        own = sum(embed[key] for key in ROOMS + [SHARED])
        more = sum(embed.values()) - sum(beside.values())
        lines += ["", f"The smallest embed over SQLite and libuv: Holdfast's own code {number(own)} bytes; with the C++ runtime, and what more of "
                      f"libc, SQLite and libuv is linked, {number(more)}."]
    return lines


def needs():
    """component -> those that cannot be without it, from Components.cmake."""
    text = open(f"{ROOT}/toolchains/cmake/Components.cmake").read()
    on = collections.defaultdict(set)
    for words in re.findall(r"^hf_needs\(([A-Z ]+)\)", text, re.M) + [w.replace(";", " ") for w in re.findall(r'"([A-Z]+;[A-Z]+)"', text)]:
        user, *needed = words.split()
        for component in needed:
            on[component].add(user)
    names = re.search(r"set\(hf_components ([A-Z ]+)\)", text)[1].split()
    return names, on


def with_users(component, on):
    found, more = set(), {component}
    while more:
        found |= more
        more = {user for one in more for user in on[one]} - found
    return found


def switches(machine):
    tool = TOOLS[machine]
    preset = "release" if machine == "native" else machine
    names, on = needs()

    def sizes(name, options):
        build = f"{ROOT}/build/size-{machine}-{name}"  # as deep as the others: the cache of the compiler looks at that
        run("cmake", "-S", ROOT, "--preset", preset, "-B", build, "-DBUILD_TESTING=OFF", "-DHOLDFAST_MQTT=OFF", *options)
        run("cmake", "--build", build, "-j", os.environ.get("JOBS", "1"), "--target", "holdfast_shared")
        program = 0
        if "-DHOLDFAST_WITH_PROGRAM=OFF" not in options:
            run("cmake", "--build", build, "-j", os.environ.get("JOBS", "1"), "--target", "holdfast_app")
            program = stripped(f"{build}/apps/holdfast", tool)
        return stripped(f"{build}/libholdfast.so", tool), program

    library, program = sizes("all", [])
    lines = [f"{machine}, {compiler(tool)}, {time.strftime('%Y-%m-%d')}", "",
             "| off | with it go | `libholdfast.so` | saved | `holdfast` | saved |", "|---|---|---:|---:|---:|---:|",
             f"| nothing | | {number(library)} | | {number(program)} | |"]
    for name in names + [None]:
        gone = with_users(name, on) if name else set(names)
        options = [f"-DHOLDFAST_WITH_{one}={'OFF' if one in gone else 'ON'}" for one in names]
        so, app = sizes(name.lower() if name else "smallest", options)
        others = ", ".join(one for one in names if one in gone and one != name) if name else "all of them"
        lines.append(f"| {name or 'the preset `smallest`'} | {others} | {number(so)} | {number(library - so)} | {number(app)} | {number(program - app) if app else ''} |")
        print(lines[-1], file=sys.stderr)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="armhf", choices=TOOLS)
    parser.add_argument("--switches", action="store_true")
    parser.add_argument("--page")
    asked = parser.parse_args()
    mark = "switches" if asked.switches else "sizes"
    text = "\n".join(switches(asked.machine) if asked.switches else report(asked.machine)) + "\n"
    if not asked.page:
        print(text, end="")
        return
    page = open(asked.page).read()
    page, n = re.subn(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", lambda found: found[1] + text + found[2], page, flags=re.S)
    if n != 1:
        sys.exit(f"{asked.page} has no marks <!-- {mark} -->")
    open(asked.page, "w").write(page)


if __name__ == "__main__":
    main()
