import BowlineTransport
import NIOCore
import NIOHPACK

extension SessionWalk {
    /// Performs the drawn action of the client or the peer if it is allowed now.
    func step() throws {
        switch Int.random(in: 0..<32, using: &random) {
        case 0...4: try open()
        case 5...8: try send()
        case 9: try sendTrailers()
        case 10: try resetOne()
        case 11: try sendPing()
        case 12, 13: consume()
        case 14, 15: try flush()
        case 16: try receiveSettings()
        case 17: try receiveAcknowledgement()
        case 18, 19: try receiveWindowUpdate()
        case 20...22: try receiveHead()
        case 23...26: try receiveData()
        case 27: try receiveReset()
        case 28: try receivePing()
        case 29: try receivePong()
        case 30: try receiveWhatIsIgnored()
        default: try receiveGoAwayOrStreamViolation()
        }
        try compare()
    }

    private func pick(_ isFit: (SessionModel.Stream) -> Bool) -> Int? {
        model.streams.filter { isFit($0.value) }.keys.sorted().randomElement(using: &random)
    }

    private func drawBytes(_ count: Int) -> [UInt8] {
        let first = UInt8.random(in: .min ... .max, using: &random)
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    private func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &random) == 0 }

    /// The fields in comparable form, without their compression.
    private func drawSection() -> [DrawnField] { drawing.section(0...8, using: &random) }

    private func plain(_ fields: [DrawnField]) -> [DrawnField] {
        fields.map { DrawnField(name: $0.name, value: $0.value) }
    }

    // The client.

    private func open() throws {
        guard model.hasRoom else { return }
        let section = DrawnSection(fields: drawSection())
        let ends = Bool.random(using: &random)
        let id: Int
        do throws(HTTP2SectionTooLarge) {
            id = try session.open(section, endsStream: ends)
        } catch {
            note("open: too large")
            return try checkTooLarge(error, section)
        }
        try checkSize(of: section)
        let expected = model.opened(plain(section.fields), ends: ends)
        note("open \(id) \(ends)")
        try require(id == expected, "stream \(id) is opened, must be \(expected)")
    }

    private func send() throws {
        guard let id = pick(\.canSend) else { return }
        let count = min(sendable(on: id), Int.random(in: 0...(oneIn(8) ? 60_000 : 3_000), using: &random))
        let ends = oneIn(4)
        guard count > 0 || ends else { return }
        note("send \(count) on \(id) \(ends)")
        let bytes = drawBytes(count)
        session.send(ByteBuffer(bytes: bytes), endsStream: ends, on: id)
        model.sentData(bytes, ends: ends, on: id)
    }

    private func sendTrailers() throws {
        guard let id = pick(\.canSend) else { return }
        let section = DrawnSection(fields: drawSection())
        note("trailers on \(id)")
        do throws(HTTP2SectionTooLarge) {
            try session.sendTrailers(section, on: id)
        } catch {
            return try checkTooLarge(error, section)
        }
        try checkSize(of: section)
        model.sentTrailers(plain(section.fields), on: id)
    }

    private func checkTooLarge(_ error: HTTP2SectionTooLarge, _ section: DrawnSection) throws {
        let limit = model.settings.maximumListSize ?? .max
        try require(section.listSize > limit, "\(section.listSize) bytes are too large for \(limit)")
        try require(error.size == section.listSize && error.limit == limit, "the error says \(error)")
    }

    private func checkSize(of section: DrawnSection) throws {
        let limit = model.settings.maximumListSize ?? .max
        try require(section.listSize <= limit, "\(section.listSize) bytes were written, the limit is \(limit)")
    }

    private func resetOne() throws {
        guard let id = pick({ _ in true }) else { return }
        note("reset \(id)")
        session.reset(id, code: .cancel)
        model.reset(id, code: 8)
    }

    private func sendPing() throws {
        guard ping == nil else { return }
        let value = UInt64.random(in: .min ... .max, using: &random)
        note("ping")
        session.ping(value)
        model.sentPing(value)
        ping = (value, false)
    }

    private func consume() {
        if let id = pick({ $0.unread > 0 }), let unread = model.streams[id]?.unread {
            let count = Int.random(in: 1...unread, using: &random)
            note("consume \(count) on \(id)")
            session.consumed(count, on: id)
            model.streams[id]?.unread -= count
        } else if let id = model.ended.randomElement(using: &random) {
            // A reader may be behind the stream's end.
            note("consume behind the end of \(id)")
            session.consumed(1, on: id)
        }
    }

    // The peer.

    /// The sizes of the peer's table count from the settings on, so that all that was written before is read first.
    private func receiveSettings() throws {
        try flush()
        var settings = model.settings
        var entries: [(identifier: Int, value: Int)] = []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                settings.headerTableSize = random.tableSize()
                entries.append((1, settings.headerTableSize))
                tableSizeChanged(to: settings.headerTableSize)
            case 1:
                let streams = Int.random(in: 0...20, using: &random)
                settings.maximumStreams = streams
                entries.append((3, streams))
            case 2:
                settings.initialWindow = oneIn(3) ? 0 : Int.random(in: 0...200_000, using: &random)
                entries.append((4, settings.initialWindow))
            case 3:
                settings.maximumFrameSize = Int.random(in: 16_384...70_000, using: &random)
                entries.append((5, settings.maximumFrameSize))
            case 4:
                let size = Int.random(in: 200...100_000, using: &random)
                settings.maximumListSize = size
                entries.append((6, size))
            default: entries.append((0x4242, 7))
            }
        }
        note("settings \(entries)")
        model.receivedSettings(settings)
        try deliver([.settings(entries)])
    }

    func receiveFirstSettings() throws {
        model.receivedSettings(model.settings)
        note("first settings")
        try deliver([.settings([])])
        try compare()
    }

    private func receiveAcknowledgement() throws {
        guard mayAcknowledge else { return }
        note("acknowledgement")
        hasAcknowledged = true
        model.acknowledgedSettings()
        try deliver([.settingsAcknowledgement])
    }

    private func receiveWindowUpdate() throws {
        let increment = Int.random(in: 1...(oneIn(4) ? 1_000_000 : 3_000), using: &random)
        if oneIn(3) {
            note("window of the connection by \(increment)")
            model.sendWindow += increment
            return try deliver([.windowUpdate(0, by: increment)])
        }
        let gone = model.ended + model.abandoned.keys.sorted()
        guard let id = oneIn(6) ? gone.randomElement(using: &random) : pick({ _ in true }) else { return }
        note("window of \(id) by \(increment)")
        model.streams[id]?.sendWindow += increment
        try deliver([.windowUpdate(id, by: increment)])
    }

    /// A head on a stream that the client has reset is dropped, and the table remembers its fields.
    private func receiveLateHead() throws {
        let late = model.abandoned.filter { $0.value.canReceive && !$0.value.hasHead }.keys.sorted()
        guard let id = late.randomElement(using: &random) else { return }
        note("late head of \(id)")
        model.abandoned[id]?.hasHead = true
        try deliver(frames(of: drawSection(), stream: id, ends: false))
    }

    private func receiveHead() throws {
        if oneIn(5) { return try receiveLateHead() }
        guard let id = pick(\.canReceive), let stream = model.streams[id] else { return }
        let isInformational = !stream.hasHead && oneIn(5)
        let ends = stream.hasHead || (!isInformational && oneIn(3))
        // After a head only trailers may come, and they end the stream.
        guard !stream.hasHead || oneIn(3) else { return }
        let fields = drawSection()
        note("head of \(id) \(ends)")
        model.willSee(.headers(id, plain(fields), ends: ends))
        if !isInformational { model.streams[id]?.hasHead = true }
        if ends { model.closePeerSide(of: id) }
        try deliver(frames(of: fields, stream: id, ends: ends))
    }

    /// The frames of a section that NIOHPACK compresses.
    private func frames(of fields: [DrawnField], stream: Int, ends: Bool) throws -> [PlainFrame] {
        if oneIn(10) { try encoder.setDynamicTableSize(Int.random(in: 0...4_096, using: &random)) }
        var buffer = ByteBuffer()
        try encoder.encode(headers: HPACKHeaders(fields.map { ($0.nameText, $0.valueText) }), to: &buffer)
        let block = Array(buffer.readableBytesView)
        var cuts = Array(stride(from: 16_000, to: block.count, by: 16_000))
        if oneIn(3) { cuts += (0..<3).map { _ in Int.random(in: 0...block.count, using: &random) } }
        return PlainFrame.headers(
            block, stream: stream, endsStream: ends, cuts: cuts,
            padding: oneIn(4) ? Int.random(in: 0...255, using: &random) : nil, hasPriority: oneIn(4))
    }

    private func receiveData() throws {
        let isLate = oneIn(6)
        let late = model.abandoned.filter { $0.value.canReceive && $0.value.hasHead }.keys.sorted()
        guard let id = isLate ? late.randomElement(using: &random) : pick({ $0.canReceive && $0.hasHead }) else {
            return
        }
        var frames: [PlainFrame] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let window = model.streams[id]?.receiveWindow ?? model.abandoned[id]?.receiveWindow ?? 0
            let room = min(window, model.receiveWindow, 16_384)
            let padding = oneIn(4) && room > 300 ? Int.random(in: 0...255, using: &random) : nil
            let extra = padding.map { $0 + 1 } ?? 0
            guard room > extra else { break }
            let most = oneIn(3) ? room - extra : min(room - extra, 2_000)
            let bytes = drawBytes(Int.random(in: 0...most, using: &random))
            let ends = oneIn(8)
            note("data of \(id): \(bytes.count) + \(extra) \(ends)")
            frames.append(.data(bytes, stream: id, endsStream: ends, padding: padding))
            let count = bytes.count + extra
            model.receiveWindow -= count
            model.streams[id]?.receiveWindow -= count
            model.abandoned[id]?.receiveWindow -= count
            if model.streams[id] != nil, ends || !bytes.isEmpty {
                model.streams[id]?.unread += bytes.count
                model.willSee(.data(id, bytes, ends: ends))
            }
            guard ends else { continue }
            model.abandoned[id]?.canReceive = false
            model.closePeerSide(of: id)
            break
        }
        try deliver(frames)
    }

    private func receiveReset() throws {
        let gone = model.ended + model.abandoned.keys.sorted()
        guard let id = oneIn(3) ? gone.randomElement(using: &random) : pick({ _ in true }) else { return }
        let code = [0, 2, 7, 8, 11, 0x4242_4242].randomElement(using: &random) ?? 0
        note("reset of \(id) by the peer")
        model.receivedReset(id, code: code)
        if model.abandoned[id] != nil { model.abandoned[id]?.canReceive = false }
        try deliver([.reset(id, code: code)])
    }

    private func receivePing() throws {
        let value = UInt64.random(in: .min ... .max, using: &random)
        note("ping by the peer")
        model.willSee(.ping)
        model.willSend(.pong(value))
        try deliver([.ping(value)])
    }

    private func receivePong() throws {
        guard let sent = ping, sent.isWritten else { return }
        note("pong")
        ping = nil
        model.willSee(.pong(sent.value))
        try deliver([.ping(sent.value, isAnswer: true)])
        let (freed, expected) = (session.pingAnswered(), model.pingAnswered())
        try require(freed == expected, "\(freed) places are free, must be \(expected)")
        // The peer knows of the resets that the PING covered, and sends nothing more on such streams.
        model.abandoned = [:]
    }

    private func receiveWhatIsIgnored() throws {
        let stream = Int.random(in: 0...9, using: &random)
        let payload = drawBytes(Int.random(in: 0...40, using: &random))
        let unknown = PlainFrame(type: 0x0A + UInt8(stream), flags: 0xFF, stream: stream, payload: payload)
        let priority = PlainFrame(
            type: PlainFrame.Kind.priority, stream: 2 * stream + 1, payload: PlainFrame.number(0) + [7])
        note("an unknown frame and a priority")
        try deliver([unknown, priority])
    }

    private func receiveGoAwayOrStreamViolation() throws {
        if let id = pick(\.canSend), oneIn(2) {
            // An increment that ends above 2³¹ − 1, or one of nothing.
            let isOverflow = Bool.random(using: &random) && (model.streams[id]?.sendWindow ?? 0) > 0
            note("a wrong window of \(id)")
            model.failed(id, code: isOverflow ? 3 : 1)
            return try deliver([.windowUpdate(id, by: isOverflow ? 0x7FFF_FFFF : 0)])
        }
        guard oneIn(6) else { return }
        let most = model.lastAccepted ?? model.lastOpened
        let last = oneIn(3) ? model.lastAccepted ?? 0x7FFF_FFFF : Int.random(in: 0...max(0, most), using: &random)
        note("GOAWAY \(last)")
        model.receivedGoAway(lastStream: last, code: 0)
        try deliver([.goAway(lastStream: last, code: 0, debug: drawBytes(oneIn(2) ? 30 : 0))])
        if oneIn(2) { try forgetResets() }
    }

    /// No stream is opened any more, so that the client keeps no places; the peer sends nothing more on such streams.
    private func forgetResets() throws {
        note("forget resets")
        let (forgotten, expected) = (session.forgetResets(), model.resets + model.awaitedResets)
        try require(forgotten == expected, "\(forgotten) places are forgotten, must be \(expected)")
        (model.resets, model.awaitedResets) = (0, 0)
        model.abandoned = [:]
    }
}
