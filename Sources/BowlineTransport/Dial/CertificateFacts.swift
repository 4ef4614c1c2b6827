/// The fields of a certificate that can explain why it was refused.
///
/// These fields are used only for messages: BoringSSL alone decides whether a certificate is accepted. The fields are read from the
/// encoding (RFC 5280 §4.1), because NIOSSL's own accessors trap on dates that they cannot read.
struct CertificateFacts: Sendable, Hashable {
    /// A point in time, and its text.
    struct Time: Sendable, Hashable {
        /// Seconds since 1970.
        let seconds: Int
        /// For example `2026-01-31 12:00:00 UTC`.
        let text: String
    }

    /// The issuer's common name, or its organization if it has no common name. nil: the issuer has neither. The text
    /// comes from the peer.
    let issuer: String?
    /// Whether subject and issuer are the same.
    let isSelfIssued: Bool
    let notBefore: Time?
    let notAfter: Time?
    /// The extended key usages, by name. A usage without a name in this file is "another purpose". nil: the certificate
    /// may serve any purpose.
    let usages: [String]?
    /// Whether the key usage allows what a TLS handshake needs: signatures, key encipherment or key agreement.
    let allowsHandshake: Bool

    /// - Returns: nil if `der` is not a certificate.
    init?(der: [UInt8]) {
        var encoding = DERReader(der[...])
        guard var outer = encoding.next(0x30), var certificate = outer.next(0x30) else { return nil }
        _ = certificate.next(0xA0)
        guard certificate.next(0x02) != nil, certificate.next(0x30) != nil, let issuer = certificate.next(0x30),
            var validity = certificate.next(0x30), let subject = certificate.next(0x30)
        else { return nil }
        self.issuer = Self.name(issuer)
        isSelfIssued = issuer.bytes == subject.bytes
        notBefore = validity.nextElement().flatMap(Self.time)
        notAfter = validity.nextElement().flatMap(Self.time)
        let extensions = Self.extensions(&certificate)
        usages = extensions[Self.extendedKeyUsage].map(Self.usages)
        allowsHandshake = extensions[Self.keyUsage].map(Self.allowsHandshake) ?? true
    }

    /// Returns the SubjectPublicKeyInfo of a certificate in its encoding (RFC 5280 §4.1.2.7).
    ///
    /// BoringSSL finds the key for the handshake at the same place. NIOSSL's accessor encodes the key anew, and traps on
    /// a key of an unknown kind.
    ///
    /// - Returns: nil if `der` is not a certificate.
    static func publicKeyInfo(ofCertificate der: [UInt8]) -> [UInt8]? {
        var encoding = DERReader(der[...])
        guard var outer = encoding.next(0x30), var certificate = outer.next(0x30) else { return nil }
        _ = certificate.next(0xA0)
        // The serial number, the algorithm, the issuer, the dates, the subject.
        for tag: UInt8 in [0x02, 0x30, 0x30, 0x30, 0x30] {
            guard certificate.next(tag) != nil else { return nil }
        }
        let rest = certificate.bytes
        guard certificate.next(0x30) != nil else { return nil }
        return Array(rest.dropLast(certificate.bytes.count))
    }

    /// Whether a server may use the certificate.
    var isForServers: Bool {
        allowsHandshake && usages.map { $0.contains("serverAuth") } ?? true
    }

    private static let keyUsage: [UInt8] = [0x55, 0x1D, 0x0F]
    private static let extendedKeyUsage: [UInt8] = [0x55, 0x1D, 0x25]
    private static let purposes: [UInt8: String] = [
        1: "serverAuth", 2: "clientAuth", 3: "codeSigning", 4: "emailProtection", 8: "timeStamping", 9: "OCSPSigning",
    ]

    private static func extensions(_ certificate: inout DERReader) -> [[UInt8]: DERReader] {
        var found: [[UInt8]: DERReader] = [:]
        while let element = certificate.nextElement() {
            var content = DERReader(element.bytes)
            guard element.tag == 0xA3, var list = content.next(0x30) else { continue }
            while var item = list.next(0x30) {
                guard let identifier = item.next(0x06) else { continue }
                _ = item.next(0x01)
                if let value = item.next(0x04) { found[Array(identifier.bytes)] = value }
            }
        }
        return found
    }

    private static func usages(_ value: DERReader) -> [String] {
        var value = value
        guard var list = value.next(0x30) else { return [] }
        var found: [String] = []
        while found.count < 16, let identifier = list.next(0x06) {
            let prefix: [UInt8] = [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03]
            let known =
                identifier.bytes.count == 8 && identifier.bytes.starts(with: prefix)
                ? identifier.bytes.last.flatMap { purposes[$0] } : nil
            found.append(known ?? "another purpose")
        }
        return found
    }

    /// Whether one of bits 0, 2 and 4 is set: digital signature, key encipherment, key agreement (RFC 5280 §4.2.1.3).
    private static func allowsHandshake(_ value: DERReader) -> Bool {
        var value = value
        guard let bits = value.next(0x03)?.bytes, bits.count >= 2 else { return false }
        return bits[bits.startIndex + 1] & 0b1010_1000 != 0
    }

    private static func name(_ name: DERReader) -> String? {
        var name = name
        var organization: String?
        var commonName: String?
        while var set = name.next(0x31) {
            guard var attribute = set.next(0x30), let type = attribute.next(0x06), let value = attribute.nextElement()
            else { continue }
            let text = value.bytes.prefix(64).map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: "?") }
            if type.bytes.elementsEqual([0x55, 0x04, 0x03]) { commonName = String(decoding: text, as: UTF8.self) }
            if type.bytes.elementsEqual([0x55, 0x04, 0x0A]) { organization = String(decoding: text, as: UTF8.self) }
        }
        return commonName ?? organization
    }

    /// Reads a UTCTime or a GeneralizedTime, both in UTC and with seconds (RFC 5280 §4.1.2.5).
    private static func time(_ element: DERElement) -> Time? {
        let digits = element.bytes.dropLast().map { Int($0) - 0x30 }
        guard element.bytes.last == UInt8(ascii: "Z"), digits.allSatisfy({ (0...9).contains($0) }) else { return nil }
        var pairs = stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] * 10 + digits[$0 + 1] }
        switch (element.tag, digits.count) {
        case (0x17, 12): pairs[0] += pairs[0] < 50 ? 2000 : 1900
        case (0x18, 14): pairs.replaceSubrange(0...1, with: [pairs[0] * 100 + pairs[1]])
        default: return nil
        }
        let (year, month, day) = (pairs[0], pairs[1], pairs[2])
        guard (1...12).contains(month), (1...31).contains(day) else { return nil }
        let seconds =
            days(year: year, month: month, day: day) * 86_400 + pairs[3] * 3600 + pairs[4] * 60 + pairs[5]
        let padded = pairs.dropFirst().map { $0 < 10 ? "0\($0)" : "\($0)" }
        return Time(
            seconds: seconds,
            text: "\(year)-\(padded[0])-\(padded[1]) \(padded[2]):\(padded[3]):\(padded[4]) UTC")
    }

    /// Returns the days since 1970 in the Gregorian calendar.
    private static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// One element of a DER encoding.
private struct DERElement {
    let tag: UInt8
    let bytes: ArraySlice<UInt8>
}

/// Reads DER elements one after another (X.690). Accepts only tags of one byte and lengths of up to four bytes.
private struct DERReader {
    private(set) var bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    /// Returns the contents of the next element if it has this tag. Otherwise reads nothing.
    mutating func next(_ tag: UInt8) -> DERReader? {
        guard bytes.first == tag, let element = nextElement() else { return nil }
        return DERReader(element.bytes)
    }

    /// Returns the next element; nil at the end and where the encoding is broken.
    mutating func nextElement() -> DERElement? {
        guard let tag = bytes.first, let first = bytes.dropFirst().first else { return nil }
        var rest = bytes.dropFirst(2)
        var length = Int(first)
        if first >= 0x80 {
            let count = Int(first & 0x7F)
            guard (1...4).contains(count), rest.count >= count else { return nil }
            length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(count)
        }
        guard rest.count >= length else { return nil }
        bytes = rest.dropFirst(length)
        return DERElement(tag: tag, bytes: rest.prefix(length))
    }
}
