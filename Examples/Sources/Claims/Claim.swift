import Foundation

/// Prints a sentence that an example demonstrates. If it is false, ends the program with a failure.
public func claim(_ sentence: String, _ isSo: Bool) {
    print(isSo ? "  ✓ \(sentence)" : "  ✗ \(sentence)")
    if !isSo { exit(1) }
}
