import BowlineCore
import Testing

@Suite("Pins and Base64")
struct PublicKeyPinTests {
    /// RFC 4648 §10, and bytes that need both digits that are no letters.
    static let encodings: [(bytes: [UInt8], text: String)] = [
        ([], ""), (Array("f".utf8), "Zg=="), (Array("fo".utf8), "Zm8="), (Array("foo".utf8), "Zm9v"),
        (Array("foob".utf8), "Zm9vYg=="), (Array("fooba".utf8), "Zm9vYmE="), (Array("foobar".utf8), "Zm9vYmFy"),
        ([0xFB, 0xEF, 0xFF], "++//"), ([0, 0, 0], "AAAA"),
    ]

    @Test("Bytes are encoded as RFC 4648 has it, and decoded to the same bytes", arguments: encodings)
    func bothWays(example: (bytes: [UInt8], text: String)) {
        #expect(Base64.encode(example.bytes) == example.text)
        #expect(Base64.decode(example.text) == example.bytes)
    }

    @Test(
        "A text that is not exactly the encoding of some bytes is not decoded",
        arguments: ["Zg", "Zg=", "Zg===", "=", "Z", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm9v=", "Z=g=", "--__", "Zm9é"])
    func undecodable(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    private static let digest = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

    @Test("A pin is the same with and without its prefix, and shows the prefix")
    func prefix() {
        let pin = PublicKeyPin(Self.digest)
        #expect(pin == PublicKeyPin("sha256/" + Self.digest))
        #expect(pin.description == "sha256/" + Self.digest)
        #expect(pin.digest?.count == 32)
        #expect(pin.digest?.first == 0xE3)
        #expect(pin.digest.map { PublicKeyPin(digest: $0) } == pin)
    }

    @Test("A value of a check is equal to its copies only")
    func verificationEquality() {
        let check = PeerVerification { _ in }
        let copy = check
        #expect(check == copy)
        #expect(check != PeerVerification { _ in })
        var options = TLSOptions()
        options.verifyPeer = check
        var others = TLSOptions()
        #expect(options != others)
        others.verifyPeer = copy
        #expect(options == others)
        #expect(options.hashValue == others.hashValue)
    }
}
