import BowlineCall
import BowlineCore
import BowlineTransport
import NIOCore

/// HTTP dates, `Retry-After` and `Keep-Alive`: the times are bounded, and equal to those of a second implementation.
///
/// Content: the value of a field.
enum DatesTarget {
    /// The first second after the year 9999, plus the days by which a date may exceed its month.
    private static let latest: Int64 = 253_402_300_800 + 3 * 86_400

    static func check(_ input: FuzzInput) throws {
        let value = input.content
        try checkDate(String(decoding: value, as: UTF8.self))
        guard let fields = try FieldSection.received("Retry-After", value) else { return }
        try checkRetryAfter(fields.fields)
        if let keepAlive = try FieldSection.received("Keep-Alive", value) {
            let model = keepAliveTimeout(value)
            try promise(
                keepAlive.keepAliveTimeout == model,
                "timeout \(keepAlive.keepAliveTimeout ?? -1), must be \(model ?? -1)")
        }
    }

    private static func checkDate(_ text: String) throws {
        guard let seconds = HTTPDate.parse(text) else { return }
        try promise((0...latest).contains(seconds), "\(seconds) s since 1970")
        guard seconds < 253_402_300_800 else { return }
        let date = CalendarModel.text(seconds)
        try promise(HTTPDate.parse(date) == seconds, "\(text) is \(seconds) s, \(date) another time")
    }

    private static func checkRetryAfter(_ fields: ReceivedFields) throws {
        guard let delay = RetryAfter.delay(asked: fields, wallClock: { 784_111_777 }) else { return }
        let longest = Duration.seconds(1_000_000_000_001)
        try promise(delay >= .zero && delay < longest, "a delay of \(delay)")
        guard let text = fields.first("retry-after"), text.utf8.count <= 9, text.utf8.allSatisfy(FuzzGrammar.isDigit),
            let seconds = Int64(text)
        else { return }
        try promise(delay == .seconds(seconds), "\(text) is \(delay)")
    }

    /// Returns the shortest `timeout` of one to nine digits.
    private static func keepAliveTimeout(_ value: [UInt8]) -> Int? {
        value.split(separator: UInt8(ascii: ",")).compactMap { element -> Int? in
            let parts = element.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            let name = trimmed(parts[0]).map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
            let digits = trimmed(parts[1])
            guard name == Array("timeout".utf8), (1...9).contains(digits.count), digits.allSatisfy(FuzzGrammar.isDigit)
            else { return nil }
            return Int(String(decoding: digits, as: UTF8.self))
        }.min()
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes.drop(while: FuzzGrammar.isSpace)
        while let last = bytes.last, FuzzGrammar.isSpace(last) { bytes.removeLast() }
        return bytes
    }
}

/// A field section as the parser delivers it.
struct FieldSection {
    let fields: ReceivedFields
    let keepAliveTimeout: Int?

    /// Returns the section with this field; nil if a field cannot have this value.
    static func received(_ name: String, _ value: [UInt8]) throws -> FieldSection? {
        try received(name, values: [value])
    }

    /// Returns the section with a field for each value; nil if a field cannot have one of the values.
    static func received(_ name: String, values: [[UInt8]]) throws -> FieldSection? {
        guard values.allSatisfy({ $0.allSatisfy(FuzzGrammar.isText) }) else { return nil }
        var head = Array("HTTP/1.1 204 No Content\r\n".utf8)
        for value in values { head += Array("\(name): ".utf8) + value + Array("\r\n".utf8) }
        head += Array("\r\n".utf8)
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = max(limits.maximumHeadBytes, head.count + 256)
        var parser = HTTP1ResponseParser(limits: limits)
        parser.beginResponse(to: .other)
        parser.append(ByteBuffer(bytes: head))
        guard case .head(let response, _) = try parser.next() else {
            throw FuzzViolation("a value of printable bytes is accepted in \(name)")
        }
        return FieldSection(fields: response.fields, keepAliveTimeout: response.persistence.keepAliveTimeout)
    }
}

/// A second implementation of the Gregorian calendar, which counts year by year.
enum CalendarModel {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Formats a date by RFC 9110 §5.6.7. The day of the week is always the same.
    static func text(_ seconds: Int64) -> String {
        var days = Int(seconds / 86_400)
        let second = Int(seconds % 86_400)
        var year = 1970
        while days >= (isLeap(year) ? 366 : 365) {
            days -= isLeap(year) ? 366 : 365
            year += 1
        }
        var month = 0
        while days >= length(of: month, in: year) {
            days -= length(of: month, in: year)
            month += 1
        }
        let time = [second / 3600, second / 60 % 60, second % 60].map(twoDigits).joined(separator: ":")
        return "Sun, \(twoDigits(days + 1)) \(months[month]) \(year) \(time) GMT"
    }

    private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func length(of month: Int, in year: Int) -> Int {
        switch month {
        case 1: isLeap(year) ? 29 : 28
        case 3, 5, 8, 10: 30
        default: 31
        }
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
