internal import Bowline
internal import BowlineTesting
internal import NIOCore
internal import Testing

@testable import BowlineTrust

@Suite("The plan of a ledger")
struct LedgerPlanTests {
    @Test("The same seed and episode draw the same plan; another episode draws another")
    func reproducible() {
        let (first, again) = (LedgerPlan.drawn(seed: 7, episode: 3), LedgerPlan.drawn(seed: 7, episode: 3))
        #expect(first.requests == again.requests)
        #expect(first.requests.count >= 60)
        #expect(first.wire == again.wire)
        #expect(first.faults == again.faults)
        #expect(first.isCalm == again.isCalm)
        #expect(first.pool == again.pool)
        #expect(first.http2 == again.http2)
        #expect(first.timeouts == again.timeouts)
        #expect(first.concurrency == again.concurrency)
        #expect(first.shutdownAfter == again.shutdownAfter)
        let others = [LedgerPlan.drawn(seed: 7, episode: 4), LedgerPlan.drawn(seed: 8, episode: 3)]
        for other in others { #expect(Set(other.requests.map(\.id)).isDisjoint(with: first.requests.map(\.id))) }
    }

    /// Two hundred episodes.
    private static let plans: [LedgerPlan] = (0..<200).map { LedgerPlan.drawn(seed: 1, episode: $0, count: 100) }
    private static let drawnRequests: [LedgerRequestPlan] = plans.flatMap(\.requests)

    @Test("Two hundred episodes have every protocol, kind of body and act")
    func variety() {
        #expect(Set(Self.plans.map(\.wire)) == Set(LedgerProtocol.allCases))
        #expect(Set(Self.drawnRequests.map(\.bodyKind)) == Set(LedgerBodyKind.allCases))
        let acts = Set(Self.drawnRequests.flatMap(\.acts).map { "\($0)".prefix { $0 != "(" } })
        #expect(acts.count == 19)
        #expect(Self.plans.contains { $0.isCalm })
        #expect(Self.plans.contains { $0.faults != nil })
        #expect(Self.plans.contains { $0.shutdownAfter != nil })
        #expect(Self.plans.contains { $0.requestsPerConnection != nil })
        #expect(Self.plans.contains { $0.countsTimers } && Self.plans.contains { !$0.countsTimers })
    }

    @Test("Two hundred episodes have requests with unique ids, small and large bodies, and cancellations")
    func requests() {
        let requests = Self.drawnRequests
        #expect(Set(requests.map(\.id)).count == requests.count)
        #expect(requests.allSatisfy { (0..<307_200).contains($0.bodySize) && (0..<307_200).contains($0.answerSize) })
        #expect(requests.contains { $0.bodySize > 250_000 })
        #expect(requests.contains { $0.cancelAfter != nil })
    }

    @Test("About one HTTP/2 request in twenty has large fields, and no other request has them")
    func largeRequests() {
        let requests = Self.plans.filter { $0.wire == .http2 }.flatMap(\.requests)
        let large = requests.filter { $0.largeFieldBytes > 0 }
        #expect((requests.count / 40..<requests.count / 10).contains(large.count))
        #expect(large.allSatisfy { (8000..<60_000).contains($0.largeFieldBytes) })
        #expect(Self.plans.filter { $0.wire != .http2 }.flatMap(\.requests).allSatisfy { $0.largeFieldBytes == 0 })
    }

    @Test("A request's large fields have all their bytes, and fit the service's limit")
    func requestFields() throws {
        let large = try #require(
            Self.drawnRequests.filter { $0.largeFieldBytes > 0 }.max { $0.largeFieldBytes < $1.largeFieldBytes })
        let fields = LedgerContent.fields(of: large)
        #expect(fields == LedgerContent.fields(of: large))
        #expect(fields.allSatisfy { HTTPField.isValidValue($0.value) })
        let values = fields.filter { $0.name.canonicalName.hasPrefix("x-ledger-large-") }.map(\.value.utf8.count)
        #expect(values.reduce(0, +) == large.largeFieldBytes)
        let listSize = fields.reduce(0) { $0 + $1.name.rawName.utf8.count + $1.value.utf8.count + 32 }
        #expect(listSize < 100_000)
    }

    @Test("Two hundred episodes have valid configurations")
    func configurations() {
        for plan in Self.plans {
            var configuration = ClientConfiguration()
            configuration.pool = plan.pool
            configuration.http2 = plan.http2
            configuration.retry = plan.retry
            configuration.timeouts = plan.timeouts
            #expect(configuration.problems().isEmpty, "episode \(plan.episode)")
        }
    }

    @Test("A calm episode has no faults, no misbehaviour, no cancellation and no shutdown")
    func calm() {
        let plans = (0..<200).map { LedgerPlan.drawn(seed: 2, episode: $0, count: 20) }.filter(\.isCalm)
        #expect(!plans.isEmpty)
        #expect(plans.allSatisfy { $0.faults == nil && $0.shutdownAfter == nil && $0.requestsPerConnection == nil })
        let requests = plans.flatMap(\.requests)
        #expect(requests.allSatisfy { $0.cancelAfter == nil && $0.acts.count == 1 && $0.acts[0].executes })
    }

    @Test("Without TLS no byte is lost, doubled or changed, and no answer ends with its connection on a bad path")
    func plain() {
        for seed in UInt64(0)..<400 {
            let faults = LedgerFaults(seed: seed, fraction: 1, isEncrypted: false)
            let script = faults.script(ofConnection: Int(seed % 5))
            #expect(script == faults.script(ofConnection: Int(seed % 5)))
            for event in script.toServer.events + script.toClient.events {
                switch event.kind {
                case .swallow, .duplicate, .corrupt: Issue.record("\(event) of seed \(seed)")
                case .cut, .halfClose, .pause, .silence, .silenceBoth: break
                }
            }
        }
        let plans = (0..<300).map { LedgerPlan.drawn(seed: 3, episode: $0, wire: .http1, count: 40) }.filter {
            $0.faults != nil
        }
        #expect(!plans.isEmpty)
        #expect(plans.flatMap(\.requests).flatMap(\.acts).allSatisfy { $0 != .answerUntilClose })
    }

    @Test("Bodies and fields are functions of the id, and valid")
    func content() {
        for id in [0, 1, .max, 0x1234_5678_9ABC_DEF0] as [UInt64] {
            #expect(LedgerContent.id(LedgerContent.text(of: id)) == id)
            let body = LedgerContent.body(of: id, .request, count: 1003)
            #expect(body.readableBytes == 1003)
            #expect(body == LedgerContent.body(of: id, .request, count: 1003))
            #expect(BodyDigest(body) != BodyDigest(LedgerContent.body(of: id, .answer, count: 1003)))
            #expect(BodyDigest(body) != BodyDigest(LedgerContent.body(of: id &+ 1, .request, count: 1003)))
            let fields = LedgerContent.fields(of: id)
            #expect(fields == LedgerContent.fields(of: id))
            #expect(fields.allSatisfy { HTTPField.isValidValue($0.value) })
            #expect(LedgerContent.comparable(fields).first == LedgerField("x-ledger-id", LedgerContent.text(of: id)))
        }
        #expect(LedgerContent.id("xyz") == nil)
    }

    @Test("An answer with large fields has all of them, each whole")
    func largeFields() throws {
        let count = try #require(HTTPField.Name(LedgerContent.largeCountField))
        var fields: HTTPFields = [count: "2"]
        #expect(LedgerContent.hasItsLargeFields([:]))
        #expect(LedgerContent.hasItsLargeFields(fields) == false)
        for number in 0..<2 {
            let field = LedgerContent.largeField(number)
            #expect(field.name.utf8.count + field.value.utf8.count == 1000)
            fields.append(HTTPField(name: try #require(HTTPField.Name(field.name)), value: field.value))
        }
        #expect(LedgerContent.hasItsLargeFields(fields))
        fields[count] = nil
        #expect(!LedgerContent.hasItsLargeFields(fields))
    }

    @Test("A digest sees each byte and the length", arguments: [0, 7, 8, 12])
    func digest(position: Int) {
        var bytes = [UInt8](repeating: 0, count: 13)
        let before = BodyDigest(ByteBuffer(bytes: bytes))
        bytes[position] = 0x80
        #expect(BodyDigest(ByteBuffer(bytes: bytes)) != before)
        #expect(BodyDigest(ByteBuffer(bytes: bytes.dropLast())).length == 12)
        #expect(BodyDigest(ByteBuffer(repeating: 0, count: 8)) != BodyDigest(ByteBuffer(repeating: 0, count: 16)))
    }
}
