internal import Testing

@testable import BowlineTrust

@Suite("What bowline-trust prints")
struct TextTableTests {
    @Test("Columns are as wide as their widest cell; the first is left-aligned, the others are right-aligned")
    func table() {
        var table = TextTable(["server", "n", "lost"])
        table.add(["nginx", "5000", "0"])
        table.add(["node"])
        table.add(["a", "1", "2", "dropped"])
        let lines = ["server     n  lost", "------  ----  ----", "nginx   5000     0", "node", "a          1     2"]
        #expect(table.description == lines.joined(separator: "\n"))
    }

    @Test("The process reports descriptors, memory and threads where the system provides them")
    func figures() {
        guard let descriptors = ProcessFigures.openDescriptors() else { return }
        #expect(descriptors >= 3)
        #expect((ProcessFigures.residentKiB() ?? 0) > 1000)
        #expect((ProcessFigures.threads() ?? 0) >= 1)
    }
}
