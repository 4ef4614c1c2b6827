/// Finds variables of an environment that look like knobs of a client and are none.
///
/// Pure: the names are an argument, and no value is ever looked at.
struct KnobNames {
    /// A variable that no knob reads.
    struct Stray: Equatable {
        let name: String
        /// The variable of the knob whose name is nearest; nil: none is near.
        let nearest: String?
    }

    /// How many letters may differ for each so many of a name.
    private static let lettersForEachDifference = 3

    private let prefix: String
    private let names: Set<String>

    /// - Parameters:
    ///   - paths: The property paths of the knobs, as `timeouts.total`.
    ///   - scope: The reader's scope, as `http.client`.
    init(paths: [String], scope: String) {
        prefix = Self.variable(scope) + "_"
        let prefix = prefix
        names = Set(paths.map { prefix + Self.variable($0) })
    }

    /// The variable that a path is read from: capitals, with an underscore between words and parts.
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

    /// The `variables` that begin with the scope and are no knob, in the order of their names.
    func strays(among variables: some Sequence<String>) -> [Stray] {
        variables.filter { $0.hasPrefix(prefix) && !names.contains($0) }.sorted()
            .map { Stray(name: $0, nearest: nearest(to: $0)) }
    }

    private func nearest(to name: String) -> String? {
        let own = Array(name.utf8.dropFirst(prefix.utf8.count))
        // Too long for a typing error; bounds the work.
        guard own.count <= 128 else { return nil }
        let distances = names.sorted().map { candidate in
            (candidate, Self.distance(own, Array(candidate.utf8.dropFirst(prefix.utf8.count))))
        }
        guard let best = distances.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 * Self.lettersForEachDifference <= own.count ? best.0 : nil
    }

    /// How many letters have to be put in, taken out or replaced to make one of the other.
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
