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
                "retry.maximumAttempts", "retry.statuses", "retry.baseDelay", "retry.budget.ratio",
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
}
