import BowlineCore
import BowlineTransport
import NIOCore
import NIOHPACK

/// HPACK: the fields are the same with other limits, the same as NIOHPACK's, and the same after they are encoded again.
///
/// Content: field sections, one after another. Numbers: the table's size, the limits, the cuts between the sections.
enum HPACKTarget {
    static func check(_ input: FuzzInput) throws {
        var input = input
        let size = input.takeNumber(in: 0...65_535)
        var limits = HPACKLimits()
        limits.maximumListSize = input.takeNumber(in: 0...1_023)
        limits.maximumFields = input.takeNumber(in: 0...15)
        let sections = input.takeCuts().pieces(of: input.content)

        let whole = try decode(sections, tableSize: size, .unlimited)
        let limited = try decode(sections, tableSize: size, limits)
        try compare(limited, with: whole, limits)
        try compareWithOther(whole, sections, tableSize: size)
        try compareWrittenAgain(whole.sections.map(\.fields), tableSize: size)
    }

    struct Field: Equatable {
        let name: [UInt8]
        let value: [UInt8]

        var size: Int { name.count + value.count + 32 }
        var isText: Bool {
            String(validating: name, as: UTF8.self) != nil && String(validating: value, as: UTF8.self) != nil
        }
    }

    private struct Section {
        var fields: [Field]
        var listSize: Int
        var isTooLarge: Bool
        var tableBytes: Int
        var tableCount: Int
    }

    /// The sections before the first one that cannot be decoded, and its error.
    private struct Decoded {
        var sections: [Section] = []
        var error: HPACKError?
    }

    private static func decode(
        _ sections: [ArraySlice<UInt8>], tableSize: Int, _ limits: HPACKLimits
    ) throws -> Decoded {
        var decoder = HPACKSectionDecoder(tableSize: tableSize)
        var decoded = Decoded()
        for section in sections {
            switch attempt(section, &decoder, limits) {
            case .success(let fields):
                try promise(decoded.error == nil, "a section is decoded after an error")
                decoded.sections.append(read(fields, decoder))
            case .failure(let error):
                try promise(decoded.error == nil || decoded.error == error, "\(error) follows another error")
                decoded.error = error
            }
            try promise(decoder.tableBytes <= tableSize, "a table of \(decoder.tableBytes) bytes")
        }
        for section in decoded.sections { try check(section, limits) }
        return decoded
    }

    private static func attempt(
        _ section: some Sequence<UInt8>, _ decoder: inout HPACKSectionDecoder, _ limits: HPACKLimits
    ) -> Result<HPACKFields, HPACKError> {
        do throws(HPACKError) {
            return .success(
                try decoder.decode(ByteBuffer(bytes: section), limits: limits, allocator: ByteBufferAllocator()))
        } catch {
            return .failure(error)
        }
    }

    private static func read(_ fields: HPACKFields, _ decoder: HPACKSectionDecoder) -> Section {
        let all = fields.spans.indices.map { index in
            Field(
                name: fields.withBytes(ofNameAt: index) { Array($0) },
                value: fields.withBytes(ofValueAt: index) { Array($0) })
        }
        return Section(
            fields: all, listSize: fields.listSize, isTooLarge: fields.isTooLarge, tableBytes: decoder.tableBytes,
            tableCount: decoder.tableCount)
    }

    private static func check(_ section: Section, _ limits: HPACKLimits) throws {
        let size = section.fields.reduce(0) { $0 + $1.size }
        try promise(section.fields.count <= limits.maximumFields, "\(section.fields.count) fields are stored")
        try promise(size <= limits.maximumListSize, "\(size) bytes are stored")
        try promise(size <= section.listSize, "\(size) bytes are stored of \(section.listSize)")
        try promise(section.isTooLarge || size == section.listSize, "\(section.listSize) bytes, stored are \(size)")
    }

    /// Checks that the limits affect only which fields are stored.
    private static func compare(_ limited: Decoded, with whole: Decoded, _ limits: HPACKLimits) throws {
        try promise(limited.error == whole.error, "limits make \(String(describing: limited.error)) of an error")
        try promise(limited.sections.count == whole.sections.count, "limits change the number of sections")
        for (few, all) in zip(limited.sections, whole.sections) {
            let isTooLarge = all.listSize > limits.maximumListSize || all.fields.count > limits.maximumFields
            try promise(few.isTooLarge == isTooLarge, "beyond the limits: \(few.isTooLarge), must be \(isTooLarge)")
            try promise(few.listSize == all.listSize, "a list of \(few.listSize) bytes, must be \(all.listSize)")
            try promise(
                few.tableBytes == all.tableBytes && few.tableCount == all.tableCount, "limits change the table")
            try promise(all.fields.starts(with: few.fields), "\(few.fields) is no beginning of \(all.fields)")
        }
    }

    /// Checks that NIOHPACK reads the same fields. NIOHPACK uses strings, so the comparison ends at bytes that are not
    /// UTF-8. It also ends at an empty name, and at an integer that NIOHPACK refuses.
    private static func compareWithOther(_ whole: Decoded, _ sections: [ArraySlice<UInt8>], tableSize: Int) throws {
        var other = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: tableSize, maxHeaderListSize: 1 << 30)
        for (section, bytes) in zip(whole.sections, sections) {
            guard section.fields.allSatisfy({ $0.isText && !$0.name.isEmpty }) else { return }
            var buffer = ByteBuffer(bytes: bytes)
            let headers: HPACKHeaders
            do {
                headers = try other.decodeHeaders(from: &buffer)
            } catch is NIOHPACKErrors.UnrepresentableInteger {
                return
            } catch {
                throw FuzzViolation("read here, refused by NIOHPACK (\(error)): \(section.fields)")
            }
            let theirs = headers.map { Field(name: Array($0.name.utf8), value: Array($0.value.utf8)) }
            try promise(theirs == section.fields, "\(section.fields) here, \(theirs) to NIOHPACK")
        }
    }

    /// Encodes the fields, and checks that the decoder reads the same fields.
    private static func compareWrittenAgain(_ sections: [[Field]], tableSize: Int) throws {
        var encoder = HPACKSectionEncoder(maximumTableSize: 65_536)
        var decoder = HPACKSectionDecoder()
        encoder.peerTableSize(tableSize)
        decoder.tableSizeAcknowledged(tableSize)
        for fields in sections {
            var buffer = ByteBuffer()
            encoder.begin(into: &buffer)
            for field in fields {
                field.name.withUnsafeBytes { name in
                    field.value.withUnsafeBytes { value in
                        encoder.encode(name: name, value: value, indexing: .automatic, into: &buffer)
                    }
                }
            }
            switch attempt(buffer.readableBytesView, &decoder, .unlimited) {
            case .success(let again):
                let section = read(again, decoder)
                try promise(section.fields == fields, "\(fields) came back as \(section.fields)")
                try promise(
                    encoder.tableBytes == section.tableBytes && encoder.tableCount == section.tableCount,
                    "the tables of encoder and decoder differ")
            case .failure(let error):
                throw FuzzViolation("\(fields) were written so that they cannot be read: \(error)")
            }
        }
    }
}

extension HPACKLimits {
    /// Limits that no input exceeds.
    fileprivate static var unlimited: HPACKLimits {
        var limits = HPACKLimits()
        limits.maximumListSize = 1 << 30
        limits.maximumFields = 1 << 20
        return limits
    }
}
