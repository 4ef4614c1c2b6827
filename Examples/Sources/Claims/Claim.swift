import Foundation

/// Prints a sentence that an example stands for, and ends the program as failed if it is not so.
public func claim(_ sentence: String, _ isSo: Bool) {
    print(isSo ? "  ✓ \(sentence)" : "  ✗ \(sentence)")
    if !isSo { exit(1) }
}
