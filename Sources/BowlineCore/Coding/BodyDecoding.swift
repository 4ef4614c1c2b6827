/// The decoder that a client gives its responses: held by reference, because every response has it.
@usableFromInline
package final class BodyDecoding: Sendable {
    package let decoder: any BodyDecoder

    package init(_ decoder: any BodyDecoder) {
        self.decoder = decoder
    }
}
