internal import Bowline

/// The runs of one scenario with one kind of client.
struct SimulationResult: Sendable {
    let scenario: SimulatedScenario
    let client: SimulatedClient
    /// The runs, in the order of their seeds.
    let runs: [SimulatedFigures]

    /// Returns the median of a figure over all runs.
    func median(_ figure: (SimulatedFigures) -> Double) -> Double {
        SimulatedFigures.percentile(0.5, of: runs.map(figure).sorted())
    }

    private static let columns: [(String, @Sendable (SimulatedFigures) -> Double)] = [
        ("failed %", { 100 * Double($0.failed) / Double(max($0.calls, 1)) }),
        ("requests / call", \.requestsPerCall),
        ("… in the fault", \.requestsPerCallInFault),
        ("goodput in the fault", \.goodputInFault),
        ("recovery s", { $0.recovery.map { $0.inMilliseconds / 1000 } ?? .infinity }),
        ("peak after", \.peakAfterFault),
        ("p50 ms", \.p50),
        ("p99 ms", \.p99),
    ]

    /// Returns a table with a row for each result.
    static func table(_ results: [SimulationResult]) -> String {
        var table = TextTable(["client"] + columns.map(\.0))
        for result in results {
            table.add([result.client.rawValue] + columns.map { result.median($0.1).short })
        }
        return "\(table)"
    }

    /// The medians, and the course of the first run, as a JSON object.
    var json: String {
        let figures = Self.columns.map { "\"\($0.0)\": \(median($0.1).json)" }.joined(separator: ", ")
        let course = (runs.first?.tenths ?? []).map { tenth in
            let p99 = SimulatedFigures.percentile(0.99, of: tenth.latencies.sorted())
            return "[\(tenth.calls), \(tenth.good), \(tenth.requests), \(p99.json)]"
        }
        let fault = [scenario.fault.lowerBound, scenario.fault.upperBound].map { ($0.inMilliseconds / 1000).json }
        return """
            {"scenario": "\(scenario.name)", "summary": "\(scenario.summary)", "client": "\(client.rawValue)",
             "seeds": \(runs.count), "fault": [\(fault.joined(separator: ", "))],
             "capacity": \((scenario.tiers > 1 ? 0 : SimulatedFigures.capacity(scenario)).json), "figures": {\(figures)},
             "course": [\(course.joined(separator: ","))]}
            """
    }
}

extension Double {
    /// The number with two decimals; `never` if it is infinite, and a hyphen if it is not a number.
    var short: String {
        if isNaN { return "-" }
        if isInfinite { return "never" }
        let hundredths = Int((self * 100).rounded())
        let rest = abs(hundredths % 100)
        return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// The number as JSON; null if there is none.
    fileprivate var json: String { isFinite ? "\(self)" : "null" }
}
