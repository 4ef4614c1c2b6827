/// The decoder that a client gives its responses. A reference, because every response has one.
@usableFromInline
package final class BodyDecoding: Sendable {
    package let decoder: any BodyDecoder

    package init(_ decoder: any BodyDecoder) {
        self.decoder = decoder
    }
}
