/// The static table of RFC 7541, Appendix A.
// Safety: the memory is filled before `shared` exists; it is neither changed nor freed after that.
struct HPACKStaticTable: @unchecked Sendable {
    /// The table, which is never freed. A copy of this value costs no reference count.
    static let shared = HPACKStaticTable()
    /// The number of entries. The indices go from 1 to this number.
    static let count = 61

    /// The memory that the entries' offsets refer to.
    let bytes: UnsafeRawPointer
    private let entries: UnsafePointer<HPACKEntry>

    private init() {
        func count(of text: StaticString) -> Int { text.withUTF8Buffer { $0.count } }
        let fields = Self.fields
        let total = fields.reduce(0) { $0 + count(of: $1.name) + count(of: $1.value) }
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 1)
        let entries = UnsafeMutablePointer<HPACKEntry>.allocate(capacity: fields.count)
        var end = 0
        func append(_ text: StaticString) -> UInt32 {
            text.withUTF8Buffer { text in
                for byte in text {
                    bytes.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
                    end += 1
                }
                return UInt32(text.count)
            }
        }
        for (position, field) in fields.enumerated() {
            let offset = UInt32(end)
            let nameLength = append(field.name)
            let valueLength = append(field.value)
            (entries + position).initialize(
                to: HPACKEntry(offset: offset, nameLength: nameLength, valueLength: valueLength))
        }
        self.bytes = UnsafeRawPointer(bytes)
        self.entries = UnsafePointer(entries)
    }

    /// - Parameter index: 1 to ``count``.
    @inline(__always)
    func entry(at index: Int) -> HPACKEntry { entries[index &- 1] }

    /// Whether the entry at an index has this value.
    @inline(__always)
    func hasValue(_ value: UnsafeRawBufferPointer, at index: Int) -> Bool {
        let entry = self.entry(at: index)
        guard entry.valueCount == value.count else { return false }
        guard let start = value.baseAddress else { return true }
        return HPACKBytes.areEqual(bytes + Int(entry.offset) + entry.nameCount, start, count: value.count)
    }
}

extension HPACKStaticTable {
    /// The fields in order of the index. Fields with the same name follow each other.
    static let fields: [(name: StaticString, value: StaticString)] = [
        (":authority", ""),
        (":method", "GET"),
        (":method", "POST"),
        (":path", "/"),
        (":path", "/index.html"),
        (":scheme", "http"),
        (":scheme", "https"),
        (":status", "200"),
        (":status", "204"),
        (":status", "206"),
        (":status", "304"),
        (":status", "400"),
        (":status", "404"),
        (":status", "500"),
        ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"),
        ("accept-language", ""),
        ("accept-ranges", ""),
        ("accept", ""),
        ("access-control-allow-origin", ""),
        ("age", ""),
        ("allow", ""),
        ("authorization", ""),
        ("cache-control", ""),
        ("content-disposition", ""),
        ("content-encoding", ""),
        ("content-language", ""),
        ("content-length", ""),
        ("content-location", ""),
        ("content-range", ""),
        ("content-type", ""),
        ("cookie", ""),
        ("date", ""),
        ("etag", ""),
        ("expect", ""),
        ("expires", ""),
        ("from", ""),
        ("host", ""),
        ("if-match", ""),
        ("if-modified-since", ""),
        ("if-none-match", ""),
        ("if-range", ""),
        ("if-unmodified-since", ""),
        ("last-modified", ""),
        ("link", ""),
        ("location", ""),
        ("max-forwards", ""),
        ("proxy-authenticate", ""),
        ("proxy-authorization", ""),
        ("range", ""),
        ("referer", ""),
        ("refresh", ""),
        ("retry-after", ""),
        ("server", ""),
        ("set-cookie", ""),
        ("strict-transport-security", ""),
        ("transfer-encoding", ""),
        ("user-agent", ""),
        ("vary", ""),
        ("via", ""),
        ("www-authenticate", ""),
    ]
}
