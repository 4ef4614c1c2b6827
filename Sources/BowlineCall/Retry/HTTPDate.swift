internal import BowlinePlatform

/// Dates as HTTP writes them (RFC 9110 §5.6.7), in seconds since 1970.
package enum HTTPDate {
    /// Parses the three forms of RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
    /// `Sun Nov  6 08:49:37 1994`. Returns nil for any other text. The day of the week is not checked.
    package static func parse(_ text: String) -> Int64? {
        guard text.utf8.count <= 64 else { return nil }
        let words = text.utf8.split(whereSeparator: isBetweenWords).map { String(Substring($0)) }
        // The form without a zone (`asctime`): day of the week, month, day, time, year. The others: day of the week,
        // day, month, year, time, GMT.
        let parts: (day: String, month: String, year: String, time: String)
        if words.count == 5, words[3].utf8.contains(UInt8(ascii: ":")) {
            parts = (words[2], words[1], words[4], words[3])
        } else if words.count == 6, words[5] == "GMT" || words[5] == "UTC" {
            parts = (words[1], words[2], words[3], words[4])
        } else {
            return nil
        }
        let clock = parts.time.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            .map { number(String(Substring($0))) }
        guard let day = number(parts.day), let month = months.firstIndex(of: parts.month.lowercased()),
            var year = number(parts.year), clock.count == 3, let hour = clock[0], let minute = clock[1],
            let second = clock[2]
        else { return nil }
        if parts.year.utf8.count == 2 { year += year < 70 ? 2000 : 1900 }
        guard (1...31).contains(day), (1970...9999).contains(year), hour < 24, minute < 60, second <= 60 else {
            return nil
        }
        let days = daysSince1970(year: year, month: Int64(month) + 1, day: day)
        return days * 86_400 + hour * 3600 + minute * 60 + second
    }

    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    private static func isBetweenWords(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "-")
    }

    private static func number(_ text: String) -> Int64? {
        guard !text.isEmpty, text.utf8.count <= 4, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int64(text)
    }

    /// Returns the days from 1970 to a date of the Gregorian calendar. Counts in years that begin in March, so that the
    /// leap day is the last day of a year.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// The machine's calendar time. Only for comparisons with dates that peers send; all other times come from the client's
/// clock.
enum WallClock {
    /// Returns the seconds since 1970.
    static func now() -> Int64 {
        Int64(time(nil))
    }
}
