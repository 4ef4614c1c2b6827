import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("What a failure says about the other connections")
struct SiblingSuspicionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let code: ServiceError.Code
        let progress: RequestProgress
        var wasPooled = true
        var isMultiplexed = false
        var waited = Duration.seconds(30)
        let suspicion: SiblingSuspicion

        var testDescription: String {
            "\(code.rawValue), \(progress.rawValue), \(wasPooled ? "pooled" : "new"), \(isMultiplexed ? "h2" : "h1"), \(waited)"
        }
    }

    @Test(
        "Lost connections and timeouts without a byte raise a doubt; responses and short deadlines do not",
        arguments: [
            Case(code: .connectionClosed, progress: .ambiguous, suspicion: .dead),
            Case(code: .connectionClosed, progress: .neverSent, suspicion: .dead),
            Case(code: .connectionClosed, progress: .ambiguous, isMultiplexed: true, suspicion: .dead),
            Case(code: .connectionClosed, progress: .ambiguous, wasPooled: false, suspicion: .none),
            Case(
                code: .connectionClosed, progress: .ambiguous, wasPooled: false, isMultiplexed: true, suspicion: .none),
            Case(code: .connectionClosed, progress: .responseStarted, suspicion: .none),
            Case(code: .connectionClosed, progress: .refused, isMultiplexed: true, suspicion: .none),
            Case(code: .responseHeadTimeout, progress: .ambiguous, suspicion: .silent),
            Case(code: .responseHeadTimeout, progress: .ambiguous, waited: .milliseconds(1), suspicion: .silent),
            Case(code: .responseHeadTimeout, progress: .responseStarted, suspicion: .none),
            Case(code: .responseHeadTimeout, progress: .ambiguous, wasPooled: false, suspicion: .none),
            Case(
                code: .responseHeadTimeout, progress: .ambiguous, wasPooled: false, isMultiplexed: true,
                suspicion: .silent),
            Case(code: .responseHeadTimeout, progress: .neverSent, isMultiplexed: true, suspicion: .silent),
            Case(code: .attemptTimeout, progress: .ambiguous, suspicion: .silent),
            Case(code: .attemptTimeout, progress: .ambiguous, waited: .milliseconds(99), suspicion: .none),
            Case(code: .bodyIdleTimeout, progress: .ambiguous, suspicion: .silent),
            Case(code: .bodyIdleTimeout, progress: .responseStarted, suspicion: .none),
            Case(code: .deadlineExceeded, progress: .ambiguous, suspicion: .silent),
            Case(code: .deadlineExceeded, progress: .ambiguous, waited: .milliseconds(100), suspicion: .silent),
            Case(code: .deadlineExceeded, progress: .ambiguous, waited: .milliseconds(99), suspicion: .none),
            Case(code: .streamReset, progress: .ambiguous, isMultiplexed: true, suspicion: .none),
            Case(code: .protocolViolation, progress: .ambiguous, suspicion: .none),
            Case(code: .requestBodyFailed, progress: .ambiguous, suspicion: .none),
        ])
    func table(row: Case) {
        let outcome = TransportOutcome(row.code, progress: row.progress)
        let suspicion = SiblingSuspicion(
            outcome, wasPooled: row.wasPooled, isMultiplexed: row.isMultiplexed, waited: row.waited)
        #expect(suspicion == row.suspicion)
    }

    @Test("A connection that declines a request is not doubted")
    func declined() {
        let outcome = TransportOutcome(connection: .declined(hasCarriedOthers: true))
        #expect(SiblingSuspicion(outcome, wasPooled: true, isMultiplexed: true, waited: .zero) == .none)
    }
}
