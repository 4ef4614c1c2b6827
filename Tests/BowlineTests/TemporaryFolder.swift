import Foundation

/// Runs `body` with a folder of its own that is removed afterwards.
func withTemporaryFolder<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: (TemporaryFolder) async throws -> Result
) async throws -> Result {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    return try await body(folder)
}

/// A folder for the files of one test.
struct TemporaryFolder: Sendable {
    let path: String

    fileprivate init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("bowline-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    fileprivate func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of a file in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes or replaces a file.
    @discardableResult
    func write(_ name: String, _ content: Data) throws -> String {
        try content.write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    func read(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: file(name)))
    }

    /// The names of its entries, hidden files included.
    func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }
}
