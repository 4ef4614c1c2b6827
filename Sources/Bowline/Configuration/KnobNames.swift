/// Finds environment variables that look like knobs of a client but are not.
///
/// Pure: the names are an argument, and values are not read.
struct KnobNames {
    /// A variable that no knob reads.
    struct Stray: Equatable {
        let name: String
        /// The variable of the knob with the nearest name; nil: no name is near.
        let nearest: String?
    }

    /// A name is near if the variable's name has at least this many letters for each letter that differs.
    private static let lettersForEachDifference = 3

    private let prefix: String
    private let names: Set<String>

    /// - Parameters:
    ///   - paths: The property paths of the knobs, for example `timeouts.total`.
    ///   - scope: The reader's scope, for example `http.client`.
    init(paths: [String], scope: String) {
        prefix = Self.variable(scope) + "_"
        let prefix = prefix
        names = Set(paths.map { prefix + Self.variable($0) })
    }

    /// Returns the environment variable of a path: in capitals, with an underscore between words and parts.
    static func variable(_ path: String) -> String {
        var name = ""
        var isAfterLowercase = false
        for character in path {
            if isAfterLowercase, character.isUppercase { name.append("_") }
            name += character.isLetter || character.isNumber ? character.uppercased() : "_"
            isAfterLowercase = character.isLowercase
        }
        return name
    }

    /// Returns the `variables` that begin with the scope and belong to no knob, sorted by name.
    func strays(among variables: some Sequence<String>) -> [Stray] {
        variables.filter { $0.hasPrefix(prefix) && !names.contains($0) }.sorted()
            .map { Stray(name: $0, nearest: nearest(to: $0)) }
    }

    private func nearest(to name: String) -> String? {
        let own = Array(name.utf8.dropFirst(prefix.utf8.count))
        // A name this long is not a typing error. The limit bounds the work.
        guard own.count <= 128 else { return nil }
        let distances = names.sorted().map { candidate in
            (candidate, Self.distance(own, Array(candidate.utf8.dropFirst(prefix.utf8.count))))
        }
        guard let best = distances.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 * Self.lettersForEachDifference <= own.count ? best.0 : nil
    }

    /// Returns how many letters must be inserted, deleted or replaced to change one name into the other.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, against) in other.enumerated() {
                let replaced = diagonal + (letter == against ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, min(row[column], diagonal) + 1)
            }
        }
        return row[other.count]
    }
}
