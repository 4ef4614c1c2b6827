/// The endpoints that the attempts of a call have been given to. Retries and hedges avoid them.
///
/// A redirect begins a new hop, which avoids nothing. Most calls use one endpoint: for them this allocates nothing.
package struct VisitedEndpoints: Sendable {
    private var hop = 0
    /// The number of the hop's first endpoint; 0: none.
    private var first: UInt64 = 0
    private var rest: Rest?

    /// The parts that few calls have. Never changed, because copies share it.
    private final class Rest: Sendable {
        /// The numbers of the hop's further endpoints.
        let numbers: [UInt64]
        let redirect: ServiceURL?

        init(_ numbers: [UInt64], _ redirect: ServiceURL?) {
            self.numbers = numbers
            self.redirect = redirect
        }
    }

    package init() {}

    /// Returns the numbers of the endpoints that this hop has used.
    package func numbers(inHop hop: Int) -> [UInt64] {
        guard first != 0, self.hop == hop else { return [] }
        return [first] + (rest?.numbers ?? [])
    }

    /// Adds an endpoint that an attempt of this hop is given to.
    ///
    /// - Parameter number: Not 0.
    package mutating func add(_ number: UInt64, inHop hop: Int) {
        if first != 0, self.hop == hop {
            rest = Rest((rest?.numbers ?? []) + [number], rest?.redirect)
        } else {
            self.hop = hop
            first = number
            if let redirect = rest?.redirect { rest = Rest([], redirect) } else { rest = nil }
        }
    }

    /// Records that a redirect leads to this URL, which is an endpoint's. The first attempt of the next hop goes there.
    package mutating func redirected(to url: ServiceURL) {
        rest = Rest(rest?.numbers ?? [], url)
    }

    /// Returns the URL of the redirect that this hop follows, once; nil: it is not an endpoint's URL, or the first
    /// attempt has begun.
    package mutating func takeRedirect() -> ServiceURL? {
        guard let redirect = rest?.redirect else { return nil }
        rest = rest?.numbers.isEmpty ?? true ? nil : Rest(rest?.numbers ?? [], nil)
        return redirect
    }
}
