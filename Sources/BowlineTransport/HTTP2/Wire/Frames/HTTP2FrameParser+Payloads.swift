internal import NIOCore

// Reading payloads, after the head has been accepted (RFC 9113 §6).
extension HTTP2FrameParser {
    /// Reads a payload that has arrived completely. Its length has been checked.
    ///
    /// - Returns: The frame. nil: the frame does not end its field section.
    mutating func readPayload(_ count: Int) throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        switch HTTP2FrameType(rawValue: head.type) {
        case .headers, .pushPromise: return try readFirstFragment(count)
        case .continuation: return readContinuation(count)
        case .settings: return readSettings(count)
        case .windowUpdate: return try readWindowUpdate()
        case .priority:
            read(count) { _ in }
            return .priority(stream: head.stream)
        case .reset:
            let code = read(count) { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) }
            return .reset(stream: head.stream, code: HTTP2ErrorCode(rawValue: code))
        case .ping:
            let value = read(count) { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
            return head.has(HTTP2FrameHead.acknowledgement) ? .pong(value) : .ping(value)
        case .goAway:
            let value = read(count) { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
            skip(head.length - count)
            return .goAway(
                lastStream: Int(truncatingIfNeeded: value >> 32 & 0x7FFF_FFFF),
                code: HTTP2ErrorCode(rawValue: UInt32(truncatingIfNeeded: value)))
        case .data, nil:
            // Invariant: `acceptHead` never leads here for these types.
            skip(head.length)
            return nil
        }
    }

    /// Reads the length of DATA's padding, before any content is returned.
    mutating func readPadLength() throws(HTTP2Violation) {
        let padding = read(1) { Int($0[0]) }
        guard padding < head.length else {
            throw Self.connectionError(
                .protocolError, "padding as long as the frame", rule: "RFC 9113 §6.1")
        }
        progress = DataProgress(content: head.length - 1 - padding, padding: padding, uncounted: 1)
        state = .data
    }

    private mutating func readWindowUpdate() throws(HTTP2Violation) -> HTTP2ReceivedFrame {
        let increment = read(4) { UInt32(bigEndian: $0.loadUnaligned(as: UInt32.self)) } & 0x7FFF_FFFF
        guard increment > 0 else {
            let scope = head.stream == 0 ? HTTP2Violation.Scope.connection : .stream(head.stream)
            let violation = HTTP2Violation(.protocolError, scope, "a WINDOW_UPDATE of 0", rule: "RFC 9113 §6.9")
            guard head.stream != 0 else { throw violation }
            return .violation(violation, windowBytes: 0)
        }
        return .windowUpdate(stream: head.stream, increment: Int(increment))
    }

    private mutating func readSettings(_ count: Int) -> HTTP2ReceivedFrame {
        if head.has(HTTP2FrameHead.acknowledgement) { return .settingsAcknowledgement }
        let entries = read(count) { bytes in
            var entries: [HTTP2SettingEntry] = []
            entries.reserveCapacity(count / 6)
            for offset in stride(from: 0, to: count, by: 6) {
                entries.append(
                    HTTP2SettingEntry(
                        identifier: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)),
                        value: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 2, as: UInt32.self))))
            }
            return entries
        }
        return .settings(entries)
    }
}

// Field sections (RFC 9113 §4.3, §6.10).
extension HTTP2FrameParser {
    private mutating func readFirstFragment(_ count: Int) throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        let isPush = head.type == HTTP2FrameType.pushPromise.rawValue
        let payload = take(count)
        let fragment = try unpadded(payload, isPush: isPush)
        guard fragment.readableBytes <= limits.maximumBlockBytes else { throw Self.sectionTooLong }
        let endsStream = !isPush && head.has(HTTP2FrameHead.endStream)
        if head.has(HTTP2FrameHead.endHeaders) {
            return isPush
                ? .pushPromise(stream: head.stream)
                : .headers(stream: head.stream, block: fragment, endsStream: endsStream)
        }
        // Copied, so that the rest can be appended. The capacity is twice the fragment, since the rest is rarely longer
        // than the first fragment.
        var block = ByteBufferAllocator().buffer(capacity: fragment.readableBytes * 2)
        block.writeImmutableBuffer(fragment)
        section = Section(stream: head.stream, endsStream: endsStream, isPush: isPush, block: block)
        return nil
    }

    private mutating func readContinuation(_ count: Int) -> HTTP2ReceivedFrame? {
        let fragment = take(count)
        section?.block.writeImmutableBuffer(fragment)
        guard head.has(HTTP2FrameHead.endHeaders), let whole = section else { return nil }
        section = nil
        return whole.isPush
            ? .pushPromise(stream: whole.stream)
            : .headers(stream: whole.stream, block: whole.block, endsStream: whole.endsStream)
    }

    /// Returns the fragment in the payload of HEADERS or PUSH_PROMISE. `acceptHead` has checked the payload's minimum
    /// length.
    private func unpadded(_ payload: consuming ByteBuffer, isPush: Bool) throws(HTTP2Violation) -> ByteBuffer {
        var padding = 0
        if head.has(HTTP2FrameHead.padded) {
            padding = Int(payload.readInteger(as: UInt8.self) ?? 0)
        }
        if isPush {
            payload.moveReaderIndex(forwardBy: 4)
        } else if head.has(HTTP2FrameHead.priority) {
            payload.moveReaderIndex(forwardBy: 5)
        }
        guard padding <= payload.readableBytes else {
            throw Self.connectionError(
                .protocolError, "padding longer than the frame",
                rule: isPush ? "RFC 9113 §6.6" : "RFC 9113 §6.2")
        }
        payload.moveWriterIndex(to: payload.writerIndex - padding)
        return payload
    }
}
