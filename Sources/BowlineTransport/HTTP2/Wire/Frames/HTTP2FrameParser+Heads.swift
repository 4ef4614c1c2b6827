internal import NIOCore

// The checks that need only a frame's head: its position among the frames, its length, its stream (RFC 9113 §3.4, §4.2,
// §6).
extension HTTP2FrameParser {
    /// Checks the head that was read, and continues with its payload.
    ///
    /// - Returns: An unknown frame, or an error of the stream. nil: the payload has to be read first.
    mutating func acceptHead() throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        let type = HTTP2FrameType(rawValue: head.type)
        if !hasPreface {
            guard type == .settings, !head.has(HTTP2FrameHead.acknowledgement) else {
                throw Self.connectionError(
                    .protocolError, "a first frame that is not SETTINGS", rule: "RFC 9113 §3.4")
            }
            hasPreface = true
        }
        if let stream = section?.stream, type != .continuation || head.stream != stream {
            throw Self.connectionError(
                .protocolError, "another frame within a field section", rule: "RFC 9113 §6.10")
        }
        guard head.length <= limits.maximumFrameSize else { return try refuseOversized(type) }
        switch type {
        case .data: return try acceptData()
        case .headers, .pushPromise, .continuation: try acceptFragment(type)
        case .priority: return try acceptPriority()
        case .settings, .ping, .goAway: try acceptConnectionFrame(type)
        case .reset, .windowUpdate: try acceptFourBytes(type)
        case nil:
            skip(head.length)
            return .unknown(type: head.type, stream: head.stream, length: head.length)
        }
        return nil
    }

    /// Refuses a frame that is too large. If the frame could change the state of the connection, this is an error of
    /// the connection; otherwise it is an error of the stream (RFC 9113 §4.2).
    private mutating func refuseOversized(_ type: HTTP2FrameType?) throws(HTTP2Violation) -> HTTP2ReceivedFrame {
        switch type {
        case .data, .priority, nil:
            guard head.stream != 0 else { break }
            return refuseFrame(.frameSizeError, "a frame larger than SETTINGS_MAX_FRAME_SIZE", rule: "RFC 9113 §4.2")
        case .headers, .pushPromise, .continuation, .settings, .ping, .goAway, .reset, .windowUpdate: break
        }
        throw Self.connectionError(
            .frameSizeError, "a frame larger than SETTINGS_MAX_FRAME_SIZE", rule: "RFC 9113 §4.2")
    }

    private mutating func acceptData() throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        guard head.stream != 0 else {
            throw Self.connectionError(.protocolError, "DATA on stream 0", rule: "RFC 9113 §6.1")
        }
        guard head.has(HTTP2FrameHead.padded) else {
            progress = DataProgress(content: head.length)
            state = .data
            return nil
        }
        guard head.length > 0 else {
            return refuseFrame(.frameSizeError, "padded DATA without a pad length", rule: "RFC 9113 §4.2")
        }
        state = .padLength
        return nil
    }

    private mutating func acceptFragment(_ type: HTTP2FrameType?) throws(HTTP2Violation) {
        guard head.stream != 0 else {
            throw Self.connectionError(
                .protocolError, "a field section on stream 0",
                rule: type == .headers
                    ? "RFC 9113 §6.2" : type == .pushPromise ? "RFC 9113 §6.6" : "RFC 9113 §6.10")
        }
        if type == .continuation {
            try acceptContinuation()
        } else {
            var needed = head.has(HTTP2FrameHead.padded) ? 1 : 0
            if type == .pushPromise { needed += 4 } else if head.has(HTTP2FrameHead.priority) { needed += 5 }
            guard head.length >= needed else {
                throw Self.connectionError(
                    .frameSizeError, "HEADERS or PUSH_PROMISE too short for its flags", rule: "RFC 9113 §4.2")
            }
        }
        state = .payload(head.length)
    }

    private mutating func acceptContinuation() throws(HTTP2Violation) {
        guard let held = section?.block.readableBytes, let count = section?.continuations else {
            throw Self.connectionError(
                .protocolError, "CONTINUATION without a field section", rule: "RFC 9113 §6.10")
        }
        guard count < limits.maximumContinuations else {
            throw Self.connectionError(
                .enhanceYourCalm, "a field section of too many CONTINUATION frames", rule: "RFC 9113 §10.5")
        }
        guard held + head.length <= limits.maximumBlockBytes else { throw Self.sectionTooLong }
        section?.continuations = count + 1
    }

    private mutating func acceptPriority() throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        guard head.stream != 0 else {
            throw Self.connectionError(.protocolError, "PRIORITY on stream 0", rule: "RFC 9113 §6.3")
        }
        guard head.length == 5 else {
            return refuseFrame(.frameSizeError, "PRIORITY that is not 5 bytes long", rule: "RFC 9113 §6.3")
        }
        state = .payload(5)
        return nil
    }

    private mutating func acceptConnectionFrame(_ type: HTTP2FrameType?) throws(HTTP2Violation) {
        let rule: StaticString =
            type == .settings ? "RFC 9113 §6.5" : type == .ping ? "RFC 9113 §6.7" : "RFC 9113 §6.8"
        guard head.stream == 0 else {
            throw Self.connectionError(.protocolError, "a frame of the connection on a stream", rule: rule)
        }
        let hasRightLength =
            switch type {
            case .settings: head.has(HTTP2FrameHead.acknowledgement) ? head.length == 0 : head.length % 6 == 0
            case .ping: head.length == 8
            default: head.length >= 8
            }
        guard hasRightLength else {
            throw Self.connectionError(
                .frameSizeError, "SETTINGS, PING or GOAWAY of a wrong length", rule: rule)
        }
        // The debug data after the first 8 bytes of GOAWAY is not kept.
        state = .payload(type == .goAway ? 8 : head.length)
    }

    private mutating func acceptFourBytes(_ type: HTTP2FrameType?) throws(HTTP2Violation) {
        if type == .reset, head.stream == 0 {
            throw Self.connectionError(.protocolError, "RST_STREAM on stream 0", rule: "RFC 9113 §6.4")
        }
        guard head.length == 4 else {
            throw Self.connectionError(
                .frameSizeError, "RST_STREAM or WINDOW_UPDATE that is not 4 bytes long",
                rule: type == .reset ? "RFC 9113 §6.4" : "RFC 9113 §6.9")
        }
        state = .payload(4)
    }

    /// Skips the payload of a frame that breaks a rule of its stream.
    private mutating func refuseFrame(
        _ code: HTTP2ErrorCode, _ what: StaticString, rule: StaticString
    ) -> HTTP2ReceivedFrame {
        skip(head.length)
        let isData = head.type == HTTP2FrameType.data.rawValue
        return .violation(
            HTTP2Violation(code, .stream(head.stream), what, rule: rule), windowBytes: isData ? head.length : 0)
    }

    static func connectionError(
        _ code: HTTP2ErrorCode, _ what: StaticString, rule: StaticString
    ) -> HTTP2Violation {
        HTTP2Violation(code, .connection, what, rule: rule)
    }

    static var sectionTooLong: HTTP2Violation {
        connectionError(.enhanceYourCalm, "a field section of too many bytes", rule: "RFC 9113 §10.5.1")
    }
}
