import BowlineCore
import Testing

@testable import BowlineCall

@Suite("What an attempt's outcome says to the gates")
struct GateReportTests {
    private static func report(_ outcome: AttemptOutcome) throws -> GateReport {
        let settings = try #require(GateSettings(.standard))
        return GateReport(outcome, settings, maximumPause: .seconds(30), wallClock: { 0 })
    }

    private static func failure(
        _ code: ServiceError.Code, _ progress: RequestProgress, _ phase: RequestPhase? = nil, isOwn: Bool = true
    ) -> AttemptOutcome {
        .failed(ServiceError(code, "failed", progress: progress, phase: phase), isOwn: isOwn)
    }

    @Test(
        "Responses", .tags(.CO4, .BR5),
        arguments: [
            (200, .success, .success), (204, .success, .success), (302, .success, .success), (404, .success, .success),
            (401, .success, .success), (408, .ignored, .success), (429, .overload, .success),
            (500, .ignored, .failure), (501, .ignored, .success), (502, .ignored, .failure),
            (503, .overload, .failure), (504, .ignored, .failure), (599, .ignored, .success),
        ] as [(Int, GateReport.Load, BreakerResult)])
    func responses(status: Int, load: GateReport.Load, health: BreakerResult) throws {
        let report = try Self.report(.answered(ServiceResponse(status: .init(code: status))))
        #expect(report.load == load)
        #expect(report.health == health)
        #expect(report.advice == RateAdvice())
    }

    struct Failure: Sendable, CustomTestStringConvertible {
        let code: ServiceError.Code
        let progress: RequestProgress
        var phase: RequestPhase?
        let load: GateReport.Load
        let health: BreakerResult

        var testDescription: String { "\(code) \(progress)" }

        static let all: [Failure] = [
            Failure(code: .connectionRefused, progress: .neverSent, load: .overload, health: .failure),
            Failure(code: .nameResolutionFailed, progress: .neverSent, load: .ignored, health: .failure),
            Failure(code: .connectTimeout, progress: .neverSent, load: .timedOut, health: .failure),
            Failure(code: .tlsHandshakeFailed, progress: .neverSent, load: .ignored, health: .failure),
            Failure(code: .responseHeadTimeout, progress: .ambiguous, load: .timedOut, health: .failure),
            Failure(code: .attemptTimeout, progress: .ambiguous, load: .timedOut, health: .failure),
            Failure(code: .attemptTimeout, progress: .neverSent, load: .timedOut, health: .ignored),
            Failure(code: .deadlineExceeded, progress: .ambiguous, load: .timedOut, health: .failure),
            Failure(code: .deadlineExceeded, progress: .neverSent, phase: .queued, load: .ignored, health: .ignored),
            Failure(
                code: .deadlineExceeded, progress: .neverSent, phase: .connecting, load: .timedOut, health: .ignored),
            Failure(code: .connectionClosed, progress: .ambiguous, load: .ignored, health: .failure),
            Failure(code: .connectionClosed, progress: .refused, load: .overload, health: .failure),
            Failure(code: .connectionClosed, progress: .neverSent, load: .ignored, health: .ignored),
            Failure(code: .protocolViolation, progress: .responseStarted, load: .ignored, health: .failure),
            Failure(code: .poolSaturated, progress: .neverSent, load: .ignored, health: .ignored),
            Failure(code: .poolAcquireTimeout, progress: .neverSent, load: .ignored, health: .ignored),
            Failure(code: .noEndpoint, progress: .neverSent, load: .ignored, health: .ignored),
            Failure(code: .requestBodyFailed, progress: .ambiguous, load: .ignored, health: .ignored),
            Failure(code: .authenticationFailed, progress: .responseStarted, load: .ignored, health: .ignored),
            Failure(code: .proxyAuthenticationRequired, progress: .refused, load: .ignored, health: .ignored),
            Failure(code: .forciblyClosed, progress: .ambiguous, load: .ignored, health: .ignored),
        ]
    }

    @Test("Failures", .tags(.CO4, .CO7, .BR5), arguments: Failure.all)
    func failures(_ failure: Failure) throws {
        let report = try Self.report(Self.failure(failure.code, failure.progress, failure.phase))
        #expect(report.load == failure.load)
        #expect(report.health == failure.health)
    }

    @Test("A cancellation, and an error that middleware made, say nothing", .tags(.CO7, .BR5))
    func nothing() throws {
        for outcome in [
            AttemptOutcome.ended(CancellationError()), Self.failure(.connectionClosed, .ambiguous, isOwn: false),
        ] {
            let report = try Self.report(outcome)
            #expect(report.load == .ignored)
            #expect(report.health == .ignored)
        }
    }
}
