/// The endpoints that the attempts of a call have been given to. Retries and hedges avoid them.
///
/// Only a call with balanced attempts has one. A redirect begins a new hop, which avoids nothing.
package final class VisitedEndpoints: Sendable {
    private struct State {
        var hop = 0
        var numbers: [UInt64] = []
        var redirect: ServiceURL?
    }

    private let state = Guarded(State())

    package init() {}

    /// Returns the numbers of the endpoints that this hop has used.
    package func numbers(inHop hop: Int) -> [UInt64] {
        state.withLock { $0.hop == hop ? $0.numbers : [] }
    }

    /// Adds an endpoint that an attempt of this hop is given to.
    package func add(_ number: UInt64, inHop hop: Int) {
        state.withLock { state in
            if state.hop != hop {
                state.hop = hop
                state.numbers = []
            }
            state.numbers.append(number)
        }
    }

    /// Records that a redirect leads to this URL, which is an endpoint's. The first attempt of the next hop goes there.
    package func redirected(to url: ServiceURL) {
        state.withLock { $0.redirect = url }
    }

    /// Returns the URL of the redirect that this hop follows, once; nil: it is not an endpoint's URL, or the first
    /// attempt has begun.
    package func takeRedirect() -> ServiceURL? {
        state.withLock { $0.redirect.take() }
    }
}
