import BowlineCore

extension ReceivedFields {
    /// Fields from lines such as `RateLimit: "default";r=50;t=30`.
    init(lines: [String]) {
        var fields = HTTPFields()
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let first = parts.first, let name = HTTPField.Name(String(first)) else { continue }
            let value = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
            fields.append(HTTPField(name: name, value: String(value)))
        }
        self.init(fields)
    }
}
