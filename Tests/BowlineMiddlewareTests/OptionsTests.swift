import BowlineCore
import Testing

@Suite("Options of behaviours")
struct OptionsTests {
    @Test("an option out of range is a problem that names its path")
    func problems() {
        var retry = RetryOptions()
        retry.maximumAttempts = 0
        retry.statuses = [200, 503]
        retry.baseDelay = .seconds(-1)
        retry.budget?.ratio = 1.5
        retry.budget?.window = .zero
        let paths = retry.problems(at: "retry").map(\.path)
        #expect(
            paths == [
                "retry.maximumAttempts", "retry.statuses", "retry.backoff.base", "retry.budget.ratio",
                "retry.budget.window",
            ])
        var redirect = RedirectOptions()
        redirect.maximum = 101
        #expect(redirect.problems(at: "redirect").map(\.path) == ["redirect.maximum"])
        var decompression = DecompressionOptions()
        decompression.maximumRatio = 1
        decompression.maximumLayers = 0
        #expect(
            decompression.problems(at: "decompression").map(\.path) == [
                "decompression.maximumRatio", "decompression.maximumLayers",
            ])
    }

    @Test("a decision about another attempt reads as a few words, without the names of types")
    func decisionWords() {
        let verdicts: [RetryDecision.Verdict] = [.retry(after: .seconds(2)), .giveUp(.notIdempotent)]
        #expect(verdicts.map { "\($0)" } == ["retry after 2000 ms", "give up: notIdempotent"])
        let causes: [RetryDecision.Cause] = [.status(503), .error(.attemptTimeout)]
        #expect(causes.map { "\($0)" } == ["status 503", "attemptTimeout"])
    }
}
