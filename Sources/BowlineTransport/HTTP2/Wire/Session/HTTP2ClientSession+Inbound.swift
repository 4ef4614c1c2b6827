package import BowlineCore
internal import NIOCore

// How the session processes the peer's frames.
extension HTTP2ClientSession {
    /// Returns the next event of the received bytes. nil: every event was returned.
    ///
    /// - Parameter now: The time of a clock that never goes back. The limits against floods count in periods of 30 s.
    package mutating func nextEvent(now: MonotonicInstant) -> Event? {
        if hasOpenedAllWindows {
            hasOpenedAllWindows = false
            return .windowOpened(stream: nil)
        }
        guard phase != .failed else { return nil }
        do throws(HTTP2Violation) {
            while let frame = try parser.next() {
                if let event = try received(frame, now: now) { return event }
            }
            return nil
        } catch {
            return broken(error)
        }
    }

    /// Ends the stream or the connection, depending on the scope of the violation.
    private mutating func broken(_ violation: HTTP2Violation) -> Event {
        switch violation.scope {
        case .stream(let stream):
            reset(stream, code: violation.code)
            refusesArrivingData = stream == arrivingDataStream
            return .streamFailed(stream: stream, violation)
        case .connection:
            phase = .failed
            streams.removeAll()
            parser = HTTP2FrameParser()
            writer.goAway(lastStream: 0, code: violation.code)
            return .connectionFailed(violation)
        }
    }

    private mutating func received(
        _ frame: HTTP2ReceivedFrame, now: MonotonicInstant
    ) throws(HTTP2Violation) -> Event? {
        switch frame {
        case .data(let stream, let bytes, let windowBytes, let endsFrame, let endsStream):
            return try receivedData(
                bytes, windowBytes: windowBytes, endsFrame: endsFrame, endsStream: endsStream, on: stream)
        case .headers(let stream, let block, let endsStream):
            return try receivedSection(block, endsStream: endsStream, on: stream, now: now)
        case .windowUpdate(let stream, let increment):
            return try receivedWindowUpdate(increment, on: stream, now: now)
        case .reset(let stream, let code):
            return try receivedReset(code, on: stream, now: now)
        case .settings(let entries):
            try floods.controlFrame(now: now)
            try floods.countReply()
            try apply(entries)
            return .settings(peer)
        case .settingsAcknowledgement:
            return try receivedAcknowledgement()
        case .ping(let value):
            try floods.ping(now: now)
            try floods.countReply()
            writer.pong(value)
            return .ping
        case .pong(let value):
            try floods.pong(now: now)
            return .pong(value)
        case .goAway(let lastStream, let code):
            try floods.controlFrame(now: now)
            return try receivedGoAway(lastStream, code)
        case .priority, .unknown:
            try floods.controlFrame(now: now)
            return nil
        case .pushPromise:
            throw HTTP2Violation(
                .protocolError, .connection, "PUSH_PROMISE, which was not allowed", rule: "RFC 9113 §8.4")
        case .violation(let violation, let windowBytes):
            return try received(violation, windowBytes: windowBytes, now: now)
        }
    }

    // MARK: Messages

    private mutating func receivedData(
        _ bytes: ByteBuffer, windowBytes: Int, endsFrame: Bool, endsStream: Bool, on stream: Int
    ) throws(HTTP2Violation) -> Event? {
        // The connection's window and the flood counters count the frame even if the stream is not open.
        arrivingDataStream = endsFrame ? 0 : stream
        try countInConnection(windowBytes)
        if endsFrame { receiveWindow.frameEnded() }
        let count = bytes.readableBytes
        try floods.data(hasBytes: count > 0, endsFrame: endsFrame, endsStream: endsStream)
        if refusesArrivingData {
            refusesArrivingData = !endsFrame
            return nil
        }
        guard let index = try indexForMessage(on: stream) else {
            if endsStream { lateStreamEnded(stream) }
            return nil
        }
        guard streams[index].receiveWindow.received(windowBytes) == .counted else {
            throw HTTP2Violation(
                .flowControlError, .stream(stream), "DATA beyond the stream's window", rule: "RFC 9113 §6.9")
        }
        // No reader takes padding, so its part of the window is made available again here.
        if windowBytes > count { streams[index].receiveWindow.consumed(windowBytes - count) }
        if endsStream { streams.remoteEnded(at: index) } else { giveBack(at: index) }
        guard count > 0 || endsStream else { return nil }
        return .data(stream: stream, bytes, endsStream: endsStream)
    }

    /// Counts bytes of a DATA frame in the connection's window. WINDOW_UPDATE for them is written when the output is
    /// taken.
    private mutating func countInConnection(_ count: Int) throws(HTTP2Violation) {
        guard receiveWindow.received(count) == .counted else {
            throw HTTP2Violation(
                .flowControlError, .connection, "DATA beyond the connection's window", rule: "RFC 9113 §6.9")
        }
        receiveWindow.consumed(count)
    }

    /// A section that is this many times larger than SETTINGS_MAX_HEADER_LIST_SIZE ends the connection.
    private static let bombFactor = 64

    private mutating func receivedSection(
        _ block: ByteBuffer, endsStream: Bool, on stream: Int, now: MonotonicInstant
    ) throws(HTTP2Violation) -> Event? {
        floods.fieldSection()
        let fields: HPACKFields
        do throws(HPACKError) {
            // Decoded even if the stream is not open: the section has changed the peer's table.
            fields = try decoder.decode(block, limits: options.fieldLimits, allocator: allocator)
        } catch {
            throw HTTP2Violation(.compressionError, .connection, error.whatThePeerSent, rule: "RFC 9113 §4.3")
        }
        // One such section is enough: each of its bytes can cost 2 KiB of copying.
        guard fields.listSize / Self.bombFactor <= options.fieldLimits.maximumListSize else {
            throw HTTP2Violation(
                .enhanceYourCalm, .connection, "a field section of many times the announced size",
                rule: "RFC 9113 §10.5.1")
        }
        guard let index = try indexForMessage(on: stream) else {
            try floods.droppedSection(now: now)
            if endsStream { lateStreamEnded(stream) }
            return nil
        }
        if endsStream { streams.remoteEnded(at: index) }
        return .headers(stream: stream, fields, endsStream: endsStream)
    }

    /// Returns the index of the record of a stream on which HEADERS or DATA have arrived. nil: they are dropped.
    private func indexForMessage(on stream: Int) throws(HTTP2Violation) -> Int? {
        guard let index = streams.index(of: stream) else {
            try checkNotIdle(stream)
            throw Self.behindTheEnd(.connection)
        }
        switch streams[index].state {
        case .open, .halfClosedLocal: return index
        case .halfClosedRemote: throw Self.behindTheEnd(.stream(stream))
        case .reset: return nil
        case .idle, .resetEnded, .closed: throw Self.behindTheEnd(.connection)
        }
    }

    private static func behindTheEnd(_ scope: HTTP2Violation.Scope) -> HTTP2Violation {
        HTTP2Violation(.streamClosed, scope, "HEADERS or DATA on a stream that had ended", rule: "RFC 9113 §5.1")
    }

    private func checkNotIdle(_ stream: Int) throws(HTTP2Violation) {
        guard streams.isIdle(stream) else { return }
        throw HTTP2Violation(
            .protocolError, .connection, "a frame on a stream that was never opened", rule: "RFC 9113 §5.1")
    }

    /// Records that the peer has ended a stream that was reset.
    private mutating func lateStreamEnded(_ stream: Int) {
        if let index = streams.index(of: stream) { streams.remoteEnded(at: index) }
    }

    // MARK: Streams

    private mutating func receivedReset(
        _ code: HTTP2ErrorCode, on stream: Int, now: MonotonicInstant
    ) throws(HTTP2Violation) -> Event? {
        guard let index = streams.index(of: stream), streams[index].state.isOpen else {
            try checkNotIdle(stream)
            try floods.peerReset(now: now)
            return nil
        }
        floods.peerResetOpenStream()
        streams.peerReset(at: index)
        return .reset(stream: stream, code)
    }

    private mutating func receivedWindowUpdate(
        _ increment: Int, on stream: Int, now: MonotonicInstant
    ) throws(HTTP2Violation) -> Event? {
        try floods.windowUpdate(now: now)
        guard stream != 0 else {
            try Self.check(sendWindow.change(by: increment), .connection)
            return .windowOpened(stream: nil)
        }
        guard let index = streams.index(of: stream) else {
            try checkNotIdle(stream)
            return nil
        }
        let state = streams[index].state
        guard state.isOpen else { return nil }
        try Self.check(streams[index].sendWindow.change(by: increment), .stream(stream))
        return state.canSend ? .windowOpened(stream: stream) : nil
    }

    private static func check(
        _ change: HTTP2SendWindow.Change, _ scope: HTTP2Violation.Scope
    ) throws(HTTP2Violation) {
        guard change == .overflow else { return }
        throw HTTP2Violation(
            .flowControlError, scope, "a WINDOW_UPDATE that raises a window above 2³¹ − 1", rule: "RFC 9113 §6.9.1")
    }

    /// Processes a violation of a stream's rule that the parser has found.
    private mutating func received(
        _ violation: HTTP2Violation, windowBytes: Int, now: MonotonicInstant
    ) throws(HTTP2Violation) -> Event? {
        try countInConnection(windowBytes)
        guard case .stream(let stream) = violation.scope else { throw violation }
        try floods.controlFrame(now: now)
        guard let index = streams.index(of: stream) else {
            // The answer to a stream error is RST_STREAM, which must not be sent for an idle stream (RFC 9113 §6.4). So
            // the error becomes an error of the connection, as §5.4.1 allows. On a closed stream no frame may be sent
            // any more (§5.1).
            guard !streams.isIdle(stream) else {
                throw HTTP2Violation(violation.code, .connection, violation.what, rule: violation.rule)
            }
            return nil
        }
        guard streams[index].state.isOpen else { return nil }
        throw violation
    }

    // MARK: The connection

    private mutating func receivedAcknowledgement() throws(HTTP2Violation) -> Event {
        guard awaitsAcknowledgement else {
            throw HTTP2Violation(
                .protocolError, .connection, "an acknowledgement of SETTINGS that were not sent",
                rule: "RFC 9113 §6.5.3")
        }
        awaitsAcknowledgement = false
        streamWindowInForce = streamWindow
        streams.resizeReceiveWindows(to: streamWindow)
        // In a smaller window, the owed bytes may be due at once.
        for index in streams.indices { giveBack(at: index) }
        return .settingsAcknowledged
    }

    private mutating func receivedGoAway(
        _ lastStream: Int, _ code: HTTP2ErrorCode
    ) throws(HTTP2Violation) -> Event {
        if case .closing(let earlier) = phase, lastStream > earlier {
            throw HTTP2Violation(
                .protocolError, .connection, "a GOAWAY with a higher last stream than the one before",
                rule: "RFC 9113 §6.8")
        }
        phase = .closing(lastStream: lastStream)
        streams.refuse(above: lastStream)
        return .goAway(lastStream: lastStream, code)
    }
}

extension HPACKError {
    /// The error as the `what` of a violation.
    fileprivate var whatThePeerSent: StaticString {
        switch self {
        case .invalidIndex: "a field section with an index that no table has"
        case .integerTooLarge: "a field section with a number that is too large"
        case .truncated: "a field section that ends within a field"
        case .invalidHuffman: "a field section with a string that is not valid Huffman code"
        case .tableSizeTooLarge: "a field section that sets a table size above ours"
        case .missingTableSizeUpdate: "a field section without the table size update that was due"
        case .lateTableSizeUpdate: "a field section with a table size update behind a field"
        }
    }
}
