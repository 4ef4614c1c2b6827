"""Runs each rule on a small tree and compares its report, so that a rule that catches nothing is not taken for a clean tree."""

import pathlib
import tempfile

from harness import pictures, rules

_WORK = "wo" + "rk"
_LATER = "TO" + "DO"

_STATES = "/// | state | input | step | next state |\n/// |---|---|---|---|\n/// | a | begin | go | b |\n/// | b | end | finish | c |\n"

# rule, path, text, the lines that must be reported
_CASES = [
    (rules.folder_walls, "Sources/BowlineTransport/Pool/A.swift", "import NIOCore\n", [1]),
    (rules.folder_walls, "Sources/BowlineTransport/Pool/A.swift",
     "internal import BowlineCore\nimport DequeModule\nimport Synchronization\n", []),
    (rules.folder_walls, "Sources/BowlineTransport/Pool/A.swift", "#if canImport(Glibc)\nimport Glibc\n#endif\n", [2]),
    (rules.folder_walls, "Sources/BowlineTransport/HTTP2/Wire/A.swift", "import NIOCore\nlet e: any EventLoop\n", [2]),
    (rules.folder_walls, "Sources/BowlineTransport/HTTP1/Wire/A.swift", "import NIOPosix\n", [1]),
    (rules.folder_walls, "Sources/BowlineTransport/HTTP1/A.swift", "import NIOPosix\n", []),
    (rules.pure_machines, "Sources/Bowline/LifeStateMachine+Ends.swift", "func a() async {}\n", [1]),
    (rules.pure_machines, "Sources/Bowline/Life.swift", "func a() async {}\n", []),
    (rules.pure_machines, "Sources/BowlineTransport/HTTP2/Wire/A.swift", "let l: Guarded<Int>\n", [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "@_exported public import HTTPTypes\n", []),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "@preconcurrency package import Metrics\n", [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import struct NIOPosix.NIOThreadPool\n", [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import struct NIOCore.ByteBuffer\nvar b = ByteBuffer()\n", []),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import NIOCore\nlet e: any EventLoop\n", [2]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import Logging; import Foundation\n", [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import Glibc\n", [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "#if canImport(Glibc)\ninternal import Glibc\n#endif\n", [2]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "internal import BowlinePlatform\n", []),
    (rules.folder_walls, "Sources/BowlineTransport/Pool/A.swift", "internal import BowlinePlatform\n", [1]),
    (rules.import_walls, "Sources/BowlinePlatform/A.swift", "#if canImport(Glibc)\nimport Glibc\n#endif\n", []),
    (rules.import_walls, "Sources/BowlinePlatform/A.swift",
     "#if canImport(Glibc)\n#elseif canImport(Musl)\nimport Musl\n#else\nimport Darwin\n#endif\n", [5]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "// import NIOPosix\n/* /* */ import NIOPosix */\n", []),
    (rules.import_walls, "Sources/BowlineCore/A.swift", 'let s = """\nimport NIOPosix\n"""\nlet t = "\\(1) import X"\n', []),
    (rules.import_walls, "Sources/BowlineCore/A.swift", '/* " */ import NIOPosix /* " */\n', [1]),
    (rules.import_walls, "Sources/BowlineCore/A.swift", "import\n  Foundation\n", [1]),
    (rules.import_walls, "Sources/BowlineCall/A.swift", "import BowlineCore\nimport BowlineTransport\n", [2]),
    (rules.import_walls, "Sources/BowlineTransport/A.swift", "import BowlineCall\nimport NIOHTTP2\n", [1, 2]),
    (rules.import_walls, "Sources/BowlineTransport/A.swift", "@testable import Bowline\n", [1]),
    (rules.import_walls, "Sources/BowlineTesting/A.swift", "import NIOSSL\nimport BowlineTransport\n", [2]),
    (rules.import_walls, "Sources/BowlineTool/A.swift", "import Foundation\nimport Bowline\nimport BowlineCore\n", [3]),
    (rules.import_walls, "Sources/Bowline/A.swift", "import FoundationEssentials\n", [1]),
    (rules.import_walls, "Sources/Bowline/Essentials.swift", "import FoundationEssentials\n", []),
    (rules.import_walls, "Sources/Bowline/Essentials.swift", "import Foundation\n", [1]),
    (rules.import_walls, "Sources/Bowline/Essentials.swift",
     "#if canImport(FoundationEssentials)\nimport FoundationEssentials\n#else\nimport Foundation\n#endif\n", []),
    (rules.import_walls, "Sources/BowlineOther/A.swift", "", [0]),
    (rules.import_walls, "Integrations/OpenAPI/Sources/BowlineOpenAPI/A.swift",
     "import Bowline\nimport OpenAPIRuntime\nimport BowlineTransport\nimport Foundation\n", [3, 4]),
    (rules.import_walls, "Integrations/Other/Sources/Other/A.swift", "", [0]),
    (rules.file_sizes, "Sources/Bowline/A.swift", "\n" * 601, [601]),
    (rules.file_sizes, "Sources/Bowline/A.swift", "\n" * 600, []),
    (rules.file_sizes, "Tests/BowlineTests/A.swift", "\n" * 800, []),
    (rules.file_sizes, "Tests/BowlineTests/A.swift", "\n" * 801, [801]),
    (rules.character_splits, "Sources/BowlineCore/A.swift",
     'let a = b.split(separator: ",")\nlet c = b.split { $0 == " " || $0 == "," }\n', [1, 2]),
    (rules.character_splits, "Sources/BowlineCore/A.swift",
     'let a = b.utf8.split(separator: UInt8(ascii: ","))\nlet c = b.utf8.split { $0 == 0x20 }\n', []),
    (rules.character_splits, "Sources/BowlineTool/A.swift", 'let a = b.split(separator: ",")\n', []),
    (rules.traps, "Sources/Bowline/A.swift", 'fatalError("x")\ntry! f()\n_ = a as! B\n', [1, 2, 3]),
    (rules.traps, "Sources/Bowline/A.swift", '// fatalError(\nlet s = "try! \\(try f())"\nlet a = b as? C\n', []),
    (rules.traps, "Sources/Bowline/A.swift", 'let s = "\\(try! f())"\n', [1]),
    (rules.traps, "Sources/Bowline/A.swift", "if try !f() { g() }\n", []),
    (rules.traps, "Tests/BowlineTests/A.swift", "try! f()\n", []),
    (rules.traps, "Integrations/OpenAPI/Sources/BowlineOpenAPI/A.swift", "try! f()\n", [1]),
    (rules.safety_notes, "Sources/Bowline/A.swift", "final class A: @unchecked Sendable {}\n", [1]),
    (rules.safety_notes, "Sources/Bowline/A.swift", "// Safety: locked.\nfinal class A: @unchecked Sendable {}\n", []),
    (rules.safety_notes, "Sources/Bowline/A.swift", "nonisolated(unsafe) var a = 1\n", [1]),
    (rules.safety_notes, "Sources/Bowline/A.swift", "// Safety: a\n// b\n// c\n// d\nnonisolated(unsafe) var a = 1\n", []),
    (rules.safety_notes, "Sources/Bowline/A.swift",
     "// Safety: a\n@b nonisolated(unsafe) var a = 1\n@b nonisolated(unsafe) var b = 1\n", [3]),
    (rules.sleeps, "Tests/BowlineTests/A.swift", "try await Task.sleep(for: .seconds(1))\nusleep(1)\nsleep(1)\n", [1, 2, 3]),
    (rules.sleeps, "Tests/BowlineTests/A.swift", "Task<Never, Never>.sleep(1)\nContinuousClock().sleep(1)\n", [1, 2]),
    (rules.sleeps, "Tests/BowlineTests/A.swift", "try await clock.sleep(until: x)\ntry await context.sleep(for: x)\ntry await time.sleep(for: x)\nfunc sleep(until: X)\n", []),
    (rules.own_tasks, "Sources/BowlineCore/A.swift", "Task { }\nTask.detached { }\nTask<Int, Never> {\nTask(priority: .high) {\n", [1, 2, 3, 4]),
    (rules.own_tasks, "Sources/BowlineCore/A.swift", "Task.inheriting { }\nTask.detachedInheriting { }\n// Task { }\nextension Task where Failure == Never {\nfunc a() -> Task<Int, Never> {\n", []),
    (rules.own_tasks, "Sources/BowlineTesting/A.swift", "Task { }\n", []),
    (rules.sleeps, "Integrations/OpenAPI/Tests/BowlineOpenAPITests/A.swift", "usleep(1)\n", [1]),
    (rules.left_overs, "Sources/Bowline/A.swift", f"// {_LATER}: later\nlet todo = 1\n", [1]),
    (rules.newer_swift, "Sources/Bowline/A.swift", "final class A: Sendable {\n    weak let b: A?\n}\n", [2]),
    (rules.newer_swift, "Sources/Bowline/A.swift", "struct A {\n    weak var b: B?\n    // No `weak let`.\n}\n", []),
    (rules.machine_paths, "Docs/A.md", f"see /{_WORK}/a\nsee https://example.com/{_WORK}/a\n", [1]),
    (rules.folder_names, "Sources/Bowline/Utils/A.swift", "", [0]),
    (rules.folder_names, "Sources/Bowline/Lifecycle/A.swift", "", []),
    (rules.road_map, "Sources/README.md", "| a | folder | file |\n|---|---|---|\n| b | `Pool` | `A.swift` |\n", [3]),
    (rules.road_map, "Sources/README.md", "| b | `.` | `README.md` |\n", []),
    (rules.page_links, "Docs/A.md", "[a](B.md)\n[b](A.md#one)\n", [1, 2]),
    (rules.page_links, "Docs/A.md", "# One `two`, three\n[b](#one-two-three) [c](https://example.com/B.md)\n", []),
    (rules.page_links, "Docs/A.md", "```text\n[a](B.md)\n```\n", []),
    (rules.named_tests, "README.md", "| a | `PoolTests/leases` |\n", [1]),
    (rules.named_tests, "README.md", "`Tests/PoolTests` has tests\n", []),
    (rules.shown_behaviours, "Tests/ATests/A.swift", '@Test("a", .tags(.KA1))\nfunc a() {}\n', [1]),
    (rules.shown_behaviours, "Tests/ATests/A.swift", '@Test("KA1: a")\nfunc a() {}\n', [1, 1]),
    (rules.shown_behaviours, "Tests/ATests/A.swift", '@Test("a", .tags(.slow))\nfunc a() {}\n', []),
    (rules.shown_behaviours, "Tests/ATests/BehaviourTags.swift", "extension Tag {}\n", [0]),
    (rules.shown_behaviours, "Tests/BEHAVIOURS.md", "| KA1 | one | |\n", [1]),
    (rules.shown_behaviours, "Tests/BEHAVIOURS.md", "| KA1 | one | `ATests/a` |\n| KA1 | why |\n", [1]),
    (rules.shown_behaviours, "Tests/BEHAVIOURS.md", "| KA1 | one | |\n| KA1 | why |\n| KA2 | why |\n", [3]),
    (rules.shown_behaviours, "Scripts/harness/http2/a.py", 'scenario("H2a one")\n', [1]),
    (rules.documented_symbols, "Sources/Bowline/A.swift", "public struct A {\n    public init() {}\n}\n", [1, 2]),
    (rules.documented_symbols, "Integrations/OpenAPI/Sources/BowlineOpenAPI/A.swift", "public struct A {}\n", [1]),
    (rules.documented_symbols, "Sources/Bowline/A.swift", "/// A.\n@frozen\npublic struct A {}\n", []),
    (rules.documented_symbols, "Sources/Bowline/A.swift", "// A.\npublic static func a() {}\n", [2]),
    (rules.documented_symbols, "Sources/Bowline/A.swift", "public var description: String\npackage var b: Int\n", []),
    (rules.told_names, "Docs/Telemetry.md", "| `http.client.nothing` | |\n| `requestForgotten` | |\n", [0, 0]),
    (rules.told_names, "Docs/Telemetry.md", "`Timer`, `OpenTelemetry`\n", []),
    (rules.trust_figures, "Scripts/trust", 'timed_part "a, short" true\npart "b" true\n', [0, 0]),
    (rules.trust_figures, "Scripts/trust", "note() {\n", []),
    (rules.planted_faults, "Tests/PlantedFaults/a.fault", "# Why.\nkind: k\n", [0]),
    (rules.planted_faults, "Tests/PlantedFaults/a.fault",
     "# Why.\nkind: k\nfile: Sources/A/A.swift\nrun: ATests\n--- old\na\n--- new\nb\n", [0]),
    (rules.drawn_pictures, "Docs/Pictures/path.svg", pictures.path_picture(), []),
    (rules.drawn_pictures, "Docs/Pictures/path.svg", pictures.path_picture().replace("service", "server"), [0]),
    (rules.drawn_pictures, pictures.MACHINE, _STATES, [0, 0]),
    (rules.drawn_pictures, pictures.MACHINE, _STATES + "/// | b | end | finish | d |\n", [0, 5]),
    (rules.drawn_pictures, pictures.MACHINE, _STATES + "/// | b | end | other | as above |\n", [0, 5]),
]


def count():
    return len(_CASES)


def run():
    """The cases whose outcome was not the expected one, as sentences; empty if the rules work."""
    broken = []
    for rule, path, text, expected in _CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            lines = [violation.line for violation in rule(root)]
        if lines != expected:
            broken.append(f"{rule.__name__} on {text!r} in {path}: reported lines {lines}, expected {expected}")
    return broken
