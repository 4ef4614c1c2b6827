public import BowlineCore

extension ResponseBody {
    /// Reads the body as one value per line (NDJSON, JSON Lines), and decodes each line when it arrives.
    ///
    /// ```swift
    /// let response = try await client.get("export").expecting(.ok)
    /// for try await order in response.body.decodeLines(of: Order.self) { … }
    /// ```
    /// The body is split into lines in the same way as by ``lines(maximum:)``. Lines that are empty, or have only
    /// spaces and tabs, are skipped. The status is not checked: call `expecting` first. Ownership of the body and
    /// back-pressure are the same as for ``lines(maximum:)``.
    ///
    /// - Parameters:
    ///   - type: The type to decode each line as.
    ///   - maximum: The maximum length of a line in bytes, without its line end; 0 or more. Default 1 MiB.
    ///   - decoder: The decoder; nil: the client's decoder.
    public func decodeLines<Value: Decodable>(
        of type: Value.Type = Value.self, maximum: Int = 1 << 20, using decoder: (any BodyDecoder)? = nil
    ) -> DecodedLines<Value> {
        DecodedLines(body: self, maximum: maximum, decoder: decoder ?? decoding?.decoder ?? .json)
    }

    /// The values of a body with one value per line.
    public struct DecodedLines<Value: Decodable>: AsyncSequence, Sendable {
        /// A line's value.
        public typealias Element = Value
        /// The errors are ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: ResponseBody
        let maximum: Int
        let decoder: any BodyDecoder

        /// Reads the values.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `decodingFailed`, which names the line's number, the type and the
        ///   coding path, but nothing from the line; `bodyTooLarge` for a line that is too long; any error of reading
        ///   the body; `CancellationError` when the reading task is cancelled. After each of these errors the rest of
        ///   the body is discarded.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(reader: LineReader(body, maximum: maximum, endingIn: .lineFeed), decoder: decoder)
        }

        /// The reader of a body's values.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var reader: LineReader
            let decoder: any BodyDecoder
            private var number = 0

            init(reader: LineReader, decoder: any BodyDecoder) {
                self.reader = reader
                self.decoder = decoder
            }

            /// Returns the next value; nil at the end.
            public mutating func next() async throws -> Value? {
                try await next(isolation: nil)
            }

            /// Returns the next value; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Value? {
                while let line = try await reader.next(isolation: actor) {
                    number += 1
                    guard line.readableBytesView.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else {
                        continue
                    }
                    do {
                        return try decoder.decodeBody(Value.self, from: line)
                    } catch {
                        throw reader.fail(with: ServiceError(decoding: Value.self, line: number, error))
                    }
                }
                return nil
            }
        }
    }
}
