#!/usr/bin/env python3
"""README.md and the documents, as their reader would follow them, with an installed copy."""
import glob
import json
import os
import re
import shlex
import shutil

from harness import SOURCE, Case, Daemon, main, need, read, run, write

# What a line of a shell block may be. Those of make are looked up in the Makefile, the others are run.
RUN = ("until holdfast health ", "cc ", "mkdir ", "holdfast ", "export ", "curl ")


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", read(os.path.join(SOURCE, document)), re.M | re.S)


def lines(block):
    return [line for line in block.splitlines() if line.strip()]


class Documents(Case):
    def setUp(self):
        super().setUp()
        run(os.environ["CMAKE"], "--install", os.environ["BUILD"], "--prefix", self.path("prefix"))
        prefix = self.path("prefix")
        self.env = {**os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{prefix}/lib",
                    "PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig"}
        for gone in ("HOLDFAST_SOCKET", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"):
            self.env.pop(gone, None)

    def check(self, config, name="checked.json"):
        path = write(self.path(name), json.dumps(config) if isinstance(config, dict) else config)
        return run("holdfast", "serve", "--config", path, "--check", env=self.env, cwd=self.folder)

    def here(self, text):
        """The same without a path that others may use."""
        return text.replace("/tmp/", self.folder + "/")


class Readme(Documents):
    def test_every_shell_line(self):
        makefile = read(os.path.join(SOURCE, "Makefile"))
        os.mkdir(self.path("holdfast"))
        shutil.copytree(os.path.join(SOURCE, "examples"), self.path("examples"))
        (config,) = blocks("README.md", "json")
        write(self.path("demo.json"), self.here(config))
        script = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
        for block in blocks("README.md", "sh"):
            for line in lines(block):
                if line.startswith("make "):
                    self.assertRegex(makefile, rf"(?m)^{shlex.split(line, comments=True)[1]}[ :].*|^\S.* {line.split()[1]}:")
                    continue
                self.assertTrue(line.startswith(RUN), f"README.md has a line that this test does not know: {line}")
                script.append(f"echo {shlex.quote('$ ' + line)}")
                script.append(self.here(line))
        said = run("bash", "-c", "\n".join(script), env=self.env, cwd=self.folder)
        answers = {part.split("\n", 1)[0].split("#")[0].strip(): part.split("\n", 1)[1] for part in re.split(r"^\$ ", said, flags=re.M)[1:]}
        self.assertRegex(answers["holdfast add load --wait"], r"^[\d.]+ [\d.]+ ")
        self.assertRegex(answers["holdfast add load --delay 1h"], r"^\d+\n$")
        self.assertIn("completed", answers["holdfast list"])
        self.assertIn("every-minute", answers["holdfast schedule list"])
        (stats,) = [text for line, text in answers.items() if line.startswith("curl ")]
        json.JSONDecoder().raw_decode(stats[stats.index("{"):])

    def test_the_c_block_compiles(self):
        (block,) = blocks("README.md", "c")
        function, statements = block.split("hf_engine *q;")
        program = write(self.path("readme.c"), function.replace(
            "static int", "static int send_it(const void *, size_t, const char *);\nstatic int", 1) +
            "void use(void);\nvoid use(void) {\nhf_engine *q;" + statements + "}\n")
        run(os.environ["CC"], "-std=c99", "-Wall", "-fsyntax-only", f"-I{self.path('prefix')}/include", program)

    def test_the_files_it_points_to_are_there(self):
        for link in re.findall(r"\]\(([^)#:]+)\)", read(os.path.join(SOURCE, "README.md"))):
            self.assertTrue(os.path.exists(os.path.join(SOURCE, link)), link)


class Others(Documents):
    def make_keys(self):
        """As docs/delivery.md says, but in a folder of the test."""
        line = re.search(r"^    (\(umask 077; .* > /etc/holdfast/credentials/hook-new\))$", read(os.path.join(SOURCE, "docs/delivery.md")), re.M)[1]
        folder = self.path("credentials")
        os.mkdir(folder)
        for name in ("hook-new", "hook-old", "broker", "nats"):
            run("sh", "-c", line.replace("/etc/holdfast/credentials/hook-new", os.path.join(folder, name)))
        shutil.copy(os.path.join(folder, "hook-new"), os.path.join(folder, "api-token"))
        self.env["CREDENTIALS_DIRECTORY"] = folder

    def test_configurations(self):
        self.make_keys()
        for path in glob.glob(os.path.join(SOURCE, "examples", "config", "*.json")):
            with self.subTest(path=path):
                self.check(read(path))
        for document in ("docs/conditions.md", "docs/delivery.md", "docs/exec.md", "docs/reference.md"):
            for block in blocks(document, "json"):
                with self.subTest(document=document, block=block):
                    # Programs that a configuration names have to be there.
                    self.check("{" + re.sub(r'"/usr/bin/[\w-]+"', '"/bin/cat"', block) + "}" if not block.startswith("{") else block)

    def test_the_c_blocks_of_the_reference_compile(self):
        for block in blocks("docs/reference.md", "c"):
            program = write(self.path("reference.c"), block + "void use(void);\nvoid use(void) { (void)order; }\n")
            declared = [f"-D{name}(user,key)=((user)!=(key))" for name in ("charge", "ship", "thank")]
            run(os.environ["CC"], "-std=c99", "-Wall", "-fsyntax-only", *declared, f"-I{self.path('prefix')}/include", program)

    def test_every_curl_line_of_the_reference(self):
        daemon = Daemon(self, {"handlers": {"report": {"exec": ["/bin/cat"]}, "bad": {"exec": ["/bin/false"], "max_attempts": 1}}}).start()
        for _ in range(7):
            daemon.add("bad")
        daemon.ended(7, state="dead")
        env = {**self.env, "HOLDFAST_SOCKET": daemon.socket}
        for block in blocks("docs/reference.md", "sh"):
            for line in lines(block):
                self.assertTrue(line.startswith("curl "), f"docs/reference.md has a line that this test does not know: {line}")
                line = line.replace("/run/holdfast/holdfast.sock", daemon.socket).replace("curl ", "curl -sS -i -m 3 ", 1)
                said = run("bash", "-c", line, env=env, cwd=self.folder, status=28 if "/v1/watch" in line else 0)
                self.assertRegex(said, r"^HTTP/1.1 20[01] ", line)
        daemon.stop()

    def test_the_gates_of_why(self):
        (table,) = re.findall(r"<!-- gates -->\n(.*?)<!-- end of gates -->", read(os.path.join(SOURCE, "docs/reference.md")), re.S)
        told = [gate for row in table.splitlines() for gate in re.findall(r"`(\w+)`", row.split("|")[1])]
        closed = re.findall(r'(?:closed\(|push_back\(\{|&rates\.\w+, )"(\w+)"', read(os.path.join(SOURCE, "core/dispatcher.cpp")))
        self.assertGreater(len(closed), 15)
        self.assertEqual(sorted(told), sorted(set(closed)))

    def test_coming_from_names_tests_and_keys_that_are_there(self):
        reference = read(os.path.join(SOURCE, "docs/reference.md"))
        rows = [line for line in read(os.path.join(SOURCE, "docs/coming-from.md")).splitlines() if line.startswith("| ") and not line.startswith("| there")]
        self.assertGreater(len(rows), 100)
        for row in rows:
            here, tests = [cell.strip() for cell in row.split(" | ")[-2:]]
            with self.subTest(row=row):
                self.assertRegex(tests, r"^`\w+/\w+`(, `\w+/\w+`)* \|$")
            for room, name in re.findall(r"`(\w+)/(\w+)`", tests):
                self.assertTrue(glob.glob(os.path.join(SOURCE, "tests", room, f"{name}_test.*")) or
                                os.path.exists(os.path.join(SOURCE, "tests", room, f"{name}.sh")), f"{room}/{name}")
            for key in re.findall(r"`((?:[a-z_]+\.)+(?:\*\.)?[a-z_.]+)`", here):
                self.assertIn(f"| `{key}` |", reference)


class Metrics(Documents):
    NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
    SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? ([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf)|NaN)")

    def test_the_figures_are_prometheus_text(self):
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"]}, "bad": {"exec": ["/bin/false"], "max_attempts": 1}}}).start()
        daemon.ended(daemon.add("echo", "1"))
        daemon.ended(daemon.add("bad", "--queue", "other"), state="dead")
        text = run("curl", "-sS", "--unix-socket", daemon.socket, "http://holdfast/metrics")
        if shutil.which("promtool"):
            self.assertEqual(run("promtool", "check", "metrics", input=text), "")
        self.assertTrue(text.endswith("\n"))
        helped, types, seen, values, family = set(), {}, set(), {}, None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                self.assertNotIn(family, helped, line)
                helped.add(family)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertEqual(name, family, "TYPE follows its HELP")
                self.assertIn(kind, ("counter", "gauge", "histogram", "summary", "untyped"))
                self.assertEqual(kind == "counter", name.endswith("_total"), name)
                types[name] = kind
            else:
                match = self.SAMPLE.fullmatch(line)
                self.assertTrue(match, line)
                name, labels, value = match[1], match[2] or "", float(match[3])
                suffixes = ("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
                self.assertIn(name, [family + suffix for suffix in suffixes], "samples stand together")
                self.assertNotIn((name, labels), seen, line)
                seen.add((name, labels))
                values.setdefault(name, []).append((labels, value))
        for name, kind in types.items():
            if kind == "histogram":
                counts = [value for _, value in values[name + "_bucket"]]
                self.assertEqual(counts, sorted(counts), "buckets add up")
                self.assertIn('le="+Inf"', values[name + "_bucket"][-1][0])
                self.assertEqual(counts[-1], values[name + "_count"][0][1])
        self.assertEqual(dict(values["holdfast_jobs"])['{state="dead"}'], 1)
        self.assertIn(('{queue="other",state="pending"}', 0), values["holdfast_queue_jobs"])
        daemon.stop()


if __name__ == "__main__":
    need("curl", "pkg-config")
    main()
