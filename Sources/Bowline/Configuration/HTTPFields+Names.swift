internal import BowlineCore

extension HTTPFields {
    /// The names of the fields, each once, in the order of their first fields.
    var distinctNames: [HTTPField.Name] {
        var seen: Set<HTTPField.Name> = []
        return map(\.name).filter { seen.insert($0).inserted }
    }
}
