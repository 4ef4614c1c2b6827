/// The decoder that a client gives its responses. A class, because every response keeps a reference to the decoder.
@usableFromInline
package final class BodyDecoding: Sendable {
    package let decoder: any BodyDecoder

    package init(_ decoder: any BodyDecoder) {
        self.decoder = decoder
    }
}
