import NIOCore
import Testing

@testable import BowlineTransport

/// The peer's settings, and ours.
@Suite struct HTTP2PeerSettingsTests {
    @Test("RFC 9113 §3.4: the session begins with the preface, its settings and the connection's window")
    func start() throws {
        var options = HTTP2SessionOptions()
        options.streamWindow = 200_000
        options.connectionWindow = 1_000_000
        options.fieldLimits.maximumListSize = 5_000
        let harness = SessionHarness(options)
        harness.start()
        let count = harness.outputByteCount
        let bytes = harness.writtenBytes()
        #expect(bytes.count == count)
        #expect(bytes.starts(with: Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)))
        let settings = SessionHarness.frame(
            4, [0, 2, 0, 0, 0, 0, 0, 4, 0, 3, 0x0D, 0x40, 0, 6, 0, 0, 0x13, 0x88])
        let update = SessionHarness.frame(8, [0, 0x0E, 0x42, 0x41])
        #expect(Array(bytes.dropFirst(24)) == settings + update)
        #expect(harness.writtenBytes() == [])
    }

    @Test("A connection window of 65,535 or less needs no update", arguments: [65_535, 1, -5])
    func noUpdate(window: Int) throws {
        var options = HTTP2SessionOptions()
        options.connectionWindow = window
        let harness = SessionHarness(options)
        harness.start()
        let updates = try harness.written().filter(\.isWindowUpdate)
        #expect(updates.isEmpty)
    }

    @Test("All settings are applied, acknowledged and reported; unknown settings are ignored")
    func all() throws {
        let harness = SessionHarness()
        harness.start()
        _ = try harness.written()
        let seen = harness.receiveSettings([
            .headerTableSize(100), .enablePush(0), .maximumStreams(7), .initialWindow(9), .frameSize(20_000),
            .headerListSize(3_000), HTTP2SettingEntry(identifier: 0xABCD, value: .max),
        ])
        var expected = HTTP2PeerSettings()
        expected.headerTableSize = 100
        expected.maximumConcurrentStreams = 7
        expected.initialWindowSize = 9
        expected.maximumFrameSize = 20_000
        expected.maximumHeaderListSize = 3_000
        #expect(seen == [.settings(expected)])
        #expect(try harness.written() == [.settingsAcknowledgement])
        // What a later frame does not name stays.
        expected.maximumConcurrentStreams = 8
        #expect(harness.receiveSettings([.maximumStreams(2), .maximumStreams(8)]) == [.settings(expected)])
    }

    static let wrongValues: [(HTTP2SettingEntry, HTTP2ErrorCode)] = [
        (.enablePush(1), .protocolError), (.enablePush(2), .protocolError),
        (.initialWindow(0x8000_0000), .flowControlError), (.initialWindow(.max), .flowControlError),
        (.frameSize(0), .protocolError), (.frameSize(16_383), .protocolError), (.frameSize(1 << 24), .protocolError),
    ]

    @Test("RFC 9113 §6.5.2: a value that is not allowed ends the connection", .tags(.H2m, .I4), arguments: wrongValues)
    func notAllowed(entry: HTTP2SettingEntry, code: HTTP2ErrorCode) throws {
        let harness = try SessionHarness.ready()
        #expect(harness.receiveSettings([.maximumStreams(1), entry]) == [.connectionFailed(code)])
        #expect(try harness.written() == [.goAway(lastStream: 0, code: code)])
        #expect(harness.violation?.description.contains("6.5.2") == true)
    }

    @Test(
        "RFC 9113 §6.5.2: the bounds of a range are allowed", .tags(.H2m, .I4),
        arguments: [
            HTTP2SettingEntry.initialWindow(0), .initialWindow(0x7FFF_FFFF), .frameSize(16_384),
            .frameSize((1 << 24) - 1),
            .maximumStreams(.max), .headerListSize(0), .headerTableSize(.max),
        ])
    func bounds(entry: HTTP2SettingEntry) throws {
        let harness = try SessionHarness.ready()
        harness.receiveSettings([entry])
        #expect(try harness.written() == [.settingsAcknowledgement])
        #expect(!harness.isClosing)
    }

    @Test("RFC 9113 §6.5.3: an acknowledgement of settings that were not sent ends the connection")
    func unasked() throws {
        let harness = try SessionHarness.ready()
        #expect(harness.receive { $0.settingsAcknowledgement() } == [.settingsAcknowledged])
        #expect(harness.receive { $0.settingsAcknowledgement() } == [.connectionFailed(.protocolError)])
    }

    @Test("The peer's table size is in force for the next section, which announces it (RFC 7541 §4.2)")
    func tableSize() throws {
        let harness = try SessionHarness.ready()
        try harness.open()
        harness.receiveSettings([.headerTableSize(0), .headerTableSize(4_096)])
        try harness.open()
        let blocks = try harness.written().compactMap { frame -> [UInt8]? in
            guard case .headers(_, let block, _) = frame else { return nil }
            return Array(block.readableBytesView)
        }
        #expect(blocks.count == 2)
        // Size updates to 0 and to 4,096.
        #expect(blocks.last?.starts(with: [0x20, 0x3F, 0xE1, 0x1F]) == true)
    }

    @Test("A section is cut at the peer's SETTINGS_MAX_FRAME_SIZE")
    func frameSize() throws {
        let harness = try SessionHarness.ready()
        let fields = [":path: /", "x-long: " + String(repeating: "~", count: 30_000)]
        try harness.open(fields)
        harness.receiveSettings([.frameSize(100_000)])
        try harness.open(fields)
        let bytes = harness.writtenBytes()
        var kinds: [UInt8] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let start = rest.startIndex
            kinds.append(rest[start + 3])
            let length = Int(rest[start]) << 16 | Int(rest[start + 1]) << 8 | Int(rest[start + 2])
            rest = rest.dropFirst(9 + length)
        }
        // HEADERS and CONTINUATION, the acknowledgement, HEADERS alone.
        #expect(kinds == [1, 9, 4, 1])
    }

    @Test("A section above the peer's SETTINGS_MAX_HEADER_LIST_SIZE is refused with both sizes; nothing is written")
    func headerListSize() throws {
        // ":path" and "/" are 6 bytes, "x-fill" and its value 10; 32 for each.
        let harness = try SessionHarness.ready([.headerListSize(80)])
        #expect(throws: HTTP2SectionTooLarge(size: 81, limit: 80)) {
            try harness.open([":path: /", "x-fill: abcde"], ends: false)
        }
        #expect(harness.outputByteCount == 0)
        #expect(harness.openCount == 0)
        let stream = try harness.open([":path: /", "x-fill: abcd"], ends: false)
        #expect(stream == 1)
        #expect(throws: HTTP2SectionTooLarge(size: 84, limit: 80)) {
            try harness.sendTrailers(["x-fill: abcd", "y-fill: abcd"], on: stream)
        }
        #expect(try harness.writtenSections() == [[":path: /", "x-fill: abcd"]])
        #expect(harness.state(of: stream) == .open)
    }

    @Test("The stream limit is the smaller of both sides'; a peer that names none gets 100", .tags(.H2g))
    func streamLimit() throws {
        let harness = try SessionHarness.ready { $0.maximumStreams = 120 }
        #expect(harness.streamLimit == 100)
        harness.receiveSettings([.maximumStreams(110)])
        #expect(harness.streamLimit == 110)
        harness.receiveSettings([.maximumStreams(.max)])
        #expect(harness.streamLimit == 120)
    }

    @Test("A limit lowered to 0 leaves open streams alone; raised again, there is room", .tags(.H2g))
    func noStreams() throws {
        let harness = try SessionHarness.ready()
        try harness.open()
        harness.receiveSettings([.maximumStreams(0)])
        #expect(!harness.hasRoom)
        #expect(harness.openCount == 1)
        #expect(harness.receiveHead(on: 1, ends: true) == [.headers(1, [":status: 200"], ends: true)])
        #expect(!harness.hasRoom)
        harness.receiveSettings([.maximumStreams(1)])
        #expect(harness.hasRoom)
        #expect(try harness.open() == 3)
        #expect(!harness.hasRoom)
    }
}

extension HTTP2ReceivedFrame {
    var isWindowUpdate: Bool {
        if case .windowUpdate = self { true } else { false }
    }
}
