internal import Bowline

extension Timeline {
    /// Returns a small picture: one line for each span, with a bar that shows where in the whole time the span lies.
    ///
    /// - Parameter width: Columns for the bars.
    func picture(width: Int = 40) -> [String] {
        let whole = spans.map { $0.start + $0.duration }.max() ?? .zero
        let nameWidth = spans.map(\.name.count).max() ?? 0
        func column(_ time: Duration) -> Int {
            whole > .zero ? min(width, Int((time / whole * Double(width)).rounded())) : 0
        }
        return spans.map { span in
            let from = min(column(span.start), width - 1)
            let until = max(column(span.start + span.duration), from + 1)
            let bar =
                String(repeating: " ", count: from) + String(repeating: "=", count: until - from)
                + String(repeating: " ", count: width - until)
            let name = span.name + String(repeating: " ", count: nameWidth - span.name.count)
            return "\(name)  |\(bar)|  \(DecimalText.milliseconds(span.duration)) ms"
        }
    }
}
