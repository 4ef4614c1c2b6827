/// A JSON object that keeps its keys in the order in which they were added (RFC 8259).
struct JSONObject {
    private var members: [String] = []

    /// The object's text, on one line.
    var text: String { "{" + members.joined(separator: ",") + "}" }

    mutating func add(_ key: String, _ value: String) { add(key, json: Self.quoted(value)) }
    mutating func add(_ key: String, _ value: Int) { add(key, json: String(value)) }
    mutating func add(_ key: String, _ value: Bool) { add(key, json: value ? "true" : "false") }
    mutating func add(_ key: String, _ value: JSONObject) { add(key, json: value.text) }

    /// Adds a list of fields, each as a list of its name and its value.
    mutating func add(_ key: String, _ fields: [Outcome.Field]) {
        let pairs = fields.map { "[\(Self.quoted($0.name)),\(Self.quoted($0.value))]" }
        add(key, json: "[" + pairs.joined(separator: ",") + "]")
    }

    /// Adds milliseconds with three decimals; nil becomes `null`.
    mutating func add(_ key: String, milliseconds duration: Duration?) {
        add(key, json: duration.map(DecimalText.milliseconds) ?? "null")
    }

    /// Adds seconds with three decimals.
    mutating func add(_ key: String, seconds duration: Duration) {
        add(key, json: DecimalText.seconds(duration))
    }

    private mutating func add(_ key: String, json: String) {
        members.append("\(Self.quoted(key)):\(json)")
    }

    /// Returns the text as a JSON string.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                result += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Durations as decimal numbers with three decimals, whatever the locale.
enum DecimalText {
    static func milliseconds(_ duration: Duration) -> String {
        thousandths((duration.wholeNanoseconds + 500) / 1000)
    }

    static func seconds(_ duration: Duration) -> String {
        thousandths((duration.wholeNanoseconds + 500_000) / 1_000_000)
    }

    private static func thousandths(_ value: Int64) -> String {
        let magnitude = value.magnitude
        let decimals = String(magnitude % 1000)
        let sign = value < 0 ? "-" : ""
        return "\(sign)\(magnitude / 1000).\(String(repeating: "0", count: 3 - decimals.count))\(decimals)"
    }
}
