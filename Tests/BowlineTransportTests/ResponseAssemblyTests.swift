import BowlineCore
import HTTPTypes
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("A response that is being received")
struct ResponseAssemblyTests {
    enum Event: Sendable {
        case head, bytes(String), trailers, readEnded, ended
    }

    /// The deliveries as comparable text.
    private static func text(_ delivery: ResponseAssembly.Delivery) -> String {
        func body(_ bytes: ByteBuffer?) -> String { bytes.map { String(buffer: $0) } ?? "-" }
        func fields(_ fields: ReceivedFields?) -> String {
            fields.map { $0.httpFields.map { "\($0.name)=\($0.value)" }.joined() } ?? "-"
        }
        return switch delivery {
        case .nothing: "nothing"
        case .head(let head, let first): "head \(head.status.code) \(fields(head.fields)) \(body(first))"
        case .whole(let head, let bytes, let trailers):
            "whole \(head.status.code) \(fields(head.fields)) \(body(bytes)) \(fields(trailers))"
        case .rest(let trailers): "rest \(fields(trailers))"
        }
    }

    private static let head = ResponseHead(
        status: .created, fields: ReceivedFields([.server: "s"]), version: .http1_1)

    private static func apply(_ event: Event, to assembly: inout ResponseAssembly) -> String? {
        switch event {
        case .head: assembly.headReceived(head, expectedLength: 7, at: MonotonicInstant(nanoseconds: 30))
        case .bytes(let text): assembly.keep(ByteBuffer(string: text))
        case .trailers: assembly.trailersReceived(ReceivedFields([.eTag: "t"]))
        case .readEnded: return text(assembly.readEnded())
        case .ended: return text(assembly.ended())
        }
        return nil
    }

    static let rows: [([Event], [String])] = [
        ([.readEnded], ["nothing"]),
        ([.ended], ["nothing"]),
        ([.head, .readEnded], ["head 201 Server=s -"]),
        ([.head, .bytes("a"), .bytes("bc"), .readEnded], ["head 201 Server=s abc"]),
        ([.head, .readEnded, .readEnded], ["head 201 Server=s -", "nothing"]),
        ([.head, .readEnded, .ended], ["head 201 Server=s -", "rest -"]),
        ([.head, .bytes("a"), .readEnded, .trailers, .ended], ["head 201 Server=s a", "rest ETag=t"]),
        ([.head, .readEnded, .ended, .ended, .readEnded], ["head 201 Server=s -", "rest -", "nothing", "nothing"]),
        ([.head, .ended], ["whole 201 Server=s - -"]),
        ([.head, .bytes("a"), .bytes("bc"), .ended], ["whole 201 Server=s abc -"]),
        ([.head, .bytes("a"), .trailers, .ended], ["whole 201 Server=s a ETag=t"]),
        ([.head, .ended, .readEnded, .ended], ["whole 201 Server=s - -", "nothing", "nothing"]),
    ]

    @Test("Each event delivers what the table says", arguments: rows)
    func deliveries(events: [Event], expected: [String]) {
        var assembly = ResponseAssembly()
        var deliveries: [String] = []
        for event in events {
            if let delivery = Self.apply(event, to: &assembly) { deliveries.append(delivery) }
        }
        #expect(deliveries == expected)
    }

    struct Stage: Sendable, Equatable {
        var hasHead = false
        var awaitsDelivery = false
        var isDelivered = false
    }

    @Test(
        "The state of the response after each event",
        arguments: [
            ([], Stage()),
            ([.head], Stage(hasHead: true, awaitsDelivery: true)),
            ([.head, .readEnded], Stage(hasHead: true, isDelivered: true)),
            ([.head, .ended], Stage(hasHead: true)),
            ([.head, .readEnded, .ended], Stage(hasHead: true)),
        ] as [([Event], Stage)])
    func stages(events: [Event], expected: Stage) {
        var assembly = ResponseAssembly()
        for event in events { _ = Self.apply(event, to: &assembly) }
        let stage = Stage(
            hasHead: assembly.hasHead, awaitsDelivery: assembly.awaitsDelivery, isDelivered: assembly.isDelivered)
        #expect(stage == expected)
    }

    @Test("The status and the length stay known after the head was delivered")
    func facts() {
        var assembly = ResponseAssembly()
        #expect(assembly.status == 0)
        #expect(assembly.expectedLength == nil)
        _ = Self.apply(.head, to: &assembly)
        _ = Self.apply(.ended, to: &assembly)
        #expect(assembly.status == 201)
        #expect(assembly.expectedLength == 7)
    }

    @Test("The times of the response's parts are noted, the first byte's once")
    func arrival() {
        var assembly = ResponseAssembly()
        assembly.requestSent(at: MonotonicInstant(nanoseconds: 10))
        let isFirst = assembly.bytesReceived(at: MonotonicInstant(nanoseconds: 20))
        let isFirstAgain = assembly.bytesReceived(at: MonotonicInstant(nanoseconds: 25))
        _ = Self.apply(.head, to: &assembly)
        #expect(isFirst)
        #expect(!isFirstAgain)
        #expect(assembly.arrival.sent == MonotonicInstant(nanoseconds: 10))
        #expect(assembly.arrival.firstByte == MonotonicInstant(nanoseconds: 20))
        #expect(assembly.arrival.head == MonotonicInstant(nanoseconds: 30))
    }

    @Test("Informational responses are kept in order, and do not count as the head")
    func informational() {
        var assembly = ResponseAssembly()
        assembly.informationalReceived(InformationalResponse(status: .continue, fields: ReceivedFields()))
        assembly.informationalReceived(InformationalResponse(status: .earlyHints, fields: ReceivedFields()))
        #expect(assembly.arrival.informational.map(\.status.code) == [100, 103])
        #expect(!assembly.hasHead)
        #expect(Self.text(assembly.readEnded()) == "nothing")
    }

    @Test("A second head changes nothing")
    func secondHead() {
        var assembly = ResponseAssembly()
        _ = Self.apply(.head, to: &assembly)
        assembly.headReceived(
            ResponseHead(status: .ok, fields: ReceivedFields(), version: .http1_1), expectedLength: nil,
            at: MonotonicInstant(nanoseconds: 40))
        #expect(assembly.status == 201)
        #expect(assembly.arrival.head == MonotonicInstant(nanoseconds: 30))
    }
}
