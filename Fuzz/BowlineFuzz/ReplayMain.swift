#if !FUZZING
    import Foundation
    import FuzzTargets

    /// Runs a target on inputs in files, without a fuzzer: `BowlineFuzz TARGET FILE…`.
    ///
    /// A file that begins with `hex:` contains an input in hexadecimal digits. Exit status 1 if a promise is broken, 2
    /// if the arguments are wrong.
    @main struct ReplayMain {
        static func main() {
            let arguments = CommandLine.arguments.dropFirst()
            guard let target = arguments.first.flatMap(FuzzTarget.init(rawValue:)), arguments.count > 1 else {
                let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
                print("usage: BowlineFuzz TARGET FILE…; the targets are \(names)")
                exit(2)
            }
            let results = arguments.dropFirst().map { replay($0, with: target) }
            exit(results.allSatisfy(\.self) ? 0 : 1)
        }

        private static func replay(_ path: String, with target: FuzzTarget) -> Bool {
            guard let bytes = FileManager.default.contents(atPath: path).flatMap(decoded) else {
                print("\(path): cannot be read")
                return false
            }
            do {
                try bytes.withUnsafeBytes { try target.check($0) }
            } catch {
                print("\(path): a promise is broken: \(error)")
                return false
            }
            print("\(path): ok")
            return true
        }

        /// Returns the input in a file; nil if its hexadecimal digits are invalid.
        private static func decoded(_ data: Data) -> [UInt8]? {
            let mark = Array("hex:".utf8)
            guard data.starts(with: mark) else { return Array(data) }
            let digits = data.dropFirst(mark.count).filter { !" \r\n".utf8.contains($0) }.map {
                Character(Unicode.Scalar($0))
            }
            guard digits.count.isMultiple(of: 2) else { return nil }
            var bytes: [UInt8] = []
            for start in stride(from: 0, to: digits.count, by: 2) {
                guard let byte = UInt8(String(digits[start...start + 1]), radix: 16) else { return nil }
                bytes.append(byte)
            }
            return bytes
        }
    }
#endif
