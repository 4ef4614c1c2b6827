internal import BowlineCore
internal import Synchronization

/// Whether one of the attempts of a hedged round has got an acceptable response.
///
/// The round itself learns of it a little later, in its own task. Meanwhile a hedge that waits at the gates could get the
/// place of that attempt, and would be sent for nothing.
final class HedgedEnd: Sendable {
    private let retry: RetryPolicy
    private let hasResponse = Atomic(false)

    init(_ retry: RetryPolicy) {
        self.retry = retry
    }

    var isAnswered: Bool { hasResponse.load(ordering: .acquiring) }

    /// An attempt of the round has ended.
    func attemptEnded(_ outcome: AttemptOutcome, wasSent: Bool) {
        guard HedgingPolicy.ending(outcome, retry, wasSent: wasSent) == .acceptable else { return }
        hasResponse.store(true, ordering: .releasing)
    }
}
