import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The deadlines of one exchange")
struct ExchangeDeadlinesTests {
    typealias Phase = ExchangeDeadlines.Phase
    typealias Consequence = ExchangeDeadlines.Consequence

    /// Facts about the exchange besides the phase.
    enum Fact: Sendable {
        case hasHead, requestDone, readerBehind, uploadMoves, notWritten
    }

    private static func second(_ seconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(seconds))
    }

    private static func facts(_ given: [Fact]) -> ExchangeDeadlines.Facts {
        ExchangeDeadlines.Facts(
            hasHead: given.contains(.hasHead), isRequestDone: given.contains(.requestDone),
            isReaderBehind: given.contains(.readerBehind), hasUploadProgress: given.contains(.uploadMoves),
            hasBeenWritten: !given.contains(.notWritten), askedAt: second(3))
    }

    /// An exchange without a limit of its own, with `timeouts.bodyIdle` of 4 seconds.
    private static func unlimited() -> ExchangeDeadlines {
        ExchangeDeadlines(
            attempt: AttemptDeadline(deadline: nil, limit: nil, started: second(0)), bodyIdle: .seconds(4))
    }

    private static let bodyNotTaken = Consequence.failed(
        .bodyIdleTimeout, "the peer took no byte of the request body for timeouts.bodyIdle", silentSince: second(6))
    private static let bodySilent = Consequence.failed(
        .bodyIdleTimeout, "no byte of the response body came for timeouts.bodyIdle", silentSince: second(6))

    struct Row: Sendable {
        var phase: Phase
        var facts: [Fact]
        var consequence: Consequence
        /// The phase after it.
        var next: Phase
        /// The deadline of that phase.
        var until: MonotonicInstant
        var asks: Bool
    }

    private static func row(
        _ phase: Phase, _ facts: [Fact], _ consequence: Consequence, next: Phase? = nil,
        until: MonotonicInstant = .distantFuture, asks: Bool = false
    ) -> Row {
        Row(phase: phase, facts: facts, consequence: consequence, next: next ?? phase, until: until, asks: asks)
    }

    /// Each phase has its deadline at second 10; the time is second 11.
    static let rows: [Row] = [
        row(Phase.none, [], .nothing),
        row(.awaitingContinue, [], .openUpload, next: Phase.none),
        row(.bodyWrite, [], bodyNotTaken, until: second(10), asks: true),
        row(.bodyWrite, [.readerBehind, .requestDone], bodyNotTaken, until: second(10), asks: true),
        row(.bodyWrite, [.uploadMoves], .extended, until: second(15), asks: true),
        row(
            .head, [.requestDone],
            .failed(
                .responseHeadTimeout, "no response head came within timeouts.responseHead", silentSince: second(3)),
            until: second(10)),
        row(
            .head, [.notWritten],
            .failed(
                .responseHeadTimeout, "the connection took no byte of the request within timeouts.responseHead",
                silentSince: second(3)),
            until: second(10)),
        row(.bodyRead, [.hasHead, .requestDone], bodySilent, until: second(10)),
        row(.bodyRead, [.hasHead, .requestDone, .uploadMoves], bodySilent, until: second(10)),
        row(.bodyRead, [.hasHead], bodySilent, until: second(10), asks: true),
        row(.bodyRead, [.hasHead, .uploadMoves], .extended, until: second(15), asks: true),
        row(.bodyRead, [.hasHead, .readerBehind], .nothing),
        row(.bodyRead, [.hasHead, .readerBehind, .requestDone], .nothing),
        row(.discarding, [.hasHead, .requestDone], .stopDiscarding, until: second(10)),
    ]

    @Test("The deadline of each phase has the consequence that the table says", arguments: rows)
    func passed(row: Row) {
        var deadlines = Self.unlimited()
        deadlines.began(row.phase, until: Self.second(10))
        let asks = deadlines.asksForProgress(
            now: Self.second(11), isRequestDone: row.facts.contains(.requestDone),
            isReaderBehind: row.facts.contains(.readerBehind))
        let consequence = deadlines.passed(now: Self.second(11), Self.facts(row.facts))
        #expect(consequence == row.consequence)
        #expect(deadlines.phase == row.next)
        #expect(deadlines.phaseInstant == row.until)
        #expect(asks == row.asks)
    }

    @Test(
        "A phase's deadline that has not passed changes nothing",
        arguments: [Phase.none, .awaitingContinue, .bodyWrite, .head, .bodyRead, .discarding])
    func early(phase: Phase) {
        var deadlines = Self.unlimited()
        deadlines.began(phase, until: Self.second(10))
        let consequence = deadlines.passed(now: Self.second(9), Self.facts([.uploadMoves]))
        #expect(consequence == .nothing)
        #expect(deadlines.phase == phase)
        #expect(deadlines.phaseInstant == Self.second(10))
        #expect(!deadlines.asksForProgress(now: Self.second(9), isRequestDone: false, isReaderBehind: false))
    }

    @Test("A deadline passes at its instant, not after it")
    func boundary() {
        var deadlines = Self.unlimited()
        deadlines.began(.awaitingContinue, until: Self.second(10))
        let consequence = deadlines.passed(now: Self.second(10), Self.facts([]))
        #expect(consequence == .openUpload)
    }

    @Test("A phase without a limit never passes")
    func unlimitedPhase() {
        var deadlines = Self.unlimited()
        deadlines.began(.head, until: Self.second(10))
        deadlines.began(.bodyRead)
        #expect(deadlines.phase == .bodyRead)
        #expect(deadlines.instant(hasHead: false) == .distantFuture)
    }

    struct AttemptRow: Sendable {
        /// The request's deadline and the attempt's own limit, in seconds.
        var total: Int?
        var own: Int?
        var hasHead: Bool
        var now: Int
        var consequence: Consequence
    }

    private static let ownLimit = Consequence.failed(
        .attemptTimeout, "no response head came within timeouts.attempt", silentSince: second(3))
    private static func totalPassed(silentSince: MonotonicInstant?) -> Consequence {
        .failed(.deadlineExceeded, "the request's deadline has passed", silentSince: silentSince)
    }

    static let attemptRows: [AttemptRow] = [
        AttemptRow(total: 9, own: 5, hasHead: false, now: 6, consequence: ownLimit),
        AttemptRow(total: 9, own: 5, hasHead: true, now: 6, consequence: .nothing),
        AttemptRow(total: 9, own: 5, hasHead: true, now: 9, consequence: totalPassed(silentSince: nil)),
        AttemptRow(total: 9, own: nil, hasHead: false, now: 9, consequence: totalPassed(silentSince: second(3))),
        AttemptRow(total: nil, own: 5, hasHead: true, now: 9, consequence: .nothing),
        // The phase's deadline is at second 10: the attempt's comes first.
        AttemptRow(total: 11, own: nil, hasHead: false, now: 12, consequence: totalPassed(silentSince: second(3))),
    ]

    @Test(
        "The attempt's deadline comes before that of the phase, and its own limit ends with the head",
        arguments: attemptRows)
    func attempt(row: AttemptRow) {
        let attempt = AttemptDeadline(
            deadline: row.total.map { Deadline(Self.second($0)) }, limit: row.own.map { .seconds($0) },
            started: Self.second(0))
        var deadlines = ExchangeDeadlines(attempt: attempt, bodyIdle: nil)
        deadlines.began(.awaitingContinue, until: Self.second(10))
        let consequence = deadlines.passed(now: Self.second(row.now), Self.facts(row.hasHead ? [.hasHead] : []))
        #expect(consequence == row.consequence)
    }

    @Test("The sweep uses the earlier deadline")
    func earlier() {
        let attempt = AttemptDeadline(
            deadline: Deadline(Self.second(20)), limit: .seconds(5), started: Self.second(0))
        var deadlines = ExchangeDeadlines(attempt: attempt, bodyIdle: nil)
        #expect(deadlines.instant(hasHead: false) == Self.second(5))
        #expect(deadlines.instant(hasHead: true) == Self.second(20))
        deadlines.began(.bodyRead, until: Self.second(2))
        #expect(deadlines.instant(hasHead: true) == Self.second(2))
    }

    @Test(
        "A body's progress extends the limit for reading it, and no other limit",
        arguments: [
            (Phase.bodyRead, 12), (.bodyWrite, 10), (.head, 10), (.awaitingContinue, 10), (.discarding, 10),
            (.none, 10),
        ])
    func progress(phase: Phase, until: Int) {
        var deadlines = Self.unlimited()
        deadlines.began(phase, until: Self.second(10))
        deadlines.bodyProgressed(at: Self.second(8))
        #expect(deadlines.phaseInstant == Self.second(until))
    }

    @Test("Without timeouts.bodyIdle, progress sets no limit")
    func noIdleLimit() {
        var deadlines = ExchangeDeadlines(
            attempt: AttemptDeadline(deadline: nil, limit: nil, started: Self.second(0)), bodyIdle: nil)
        deadlines.began(.bodyRead)
        deadlines.bodyProgressed(at: Self.second(8))
        #expect(deadlines.phaseInstant == .distantFuture)
    }

    @Test("Deadlines without an exchange never pass")
    func none() {
        var deadlines = ExchangeDeadlines()
        #expect(deadlines.instant(hasHead: false) == .distantFuture)
        let consequence = deadlines.passed(now: Self.second(1_000_000), Self.facts([]))
        #expect(consequence == .nothing)
    }
}
