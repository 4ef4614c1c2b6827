import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

/// The next read uses the same memory, unless a piece of it is still in use: then all of it would be copied.
@Suite struct HeldBufferTests {
    /// The arguments are beginnings of responses, after which the parser needs more bytes.
    @Test(
        "Between two reads the parser keeps nothing of the first read, and its pieces keep little memory",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b",
        ]
    )
    func holdsNothing(text: String) throws {
        for capacity in [2048, 32_768] {
            var read = ByteBufferAllocator().buffer(capacity: capacity)
            read.writeString(text)
            let memory = read.withVeryUnsafeBytes(\.baseAddress)

            var parser = HTTP1ResponseParser()
            parser.beginResponse(to: .other)
            parser.append(read.compact())
            var pieces: [ByteBuffer] = []
            parsing: while true {
                switch try parser.next() {
                case .needMoreBytes: break parsing
                case .body(let bytes): pieces.append(bytes)
                default: break
                }
            }
            for piece in pieces { #expect(piece.storageCapacity <= 4096) }
            // Smaller buffers are not copied: the piece keeps the buffer alive.
            if capacity == 2048 { pieces = [] }
            read.clear()
            read.writeString("next")
            let isHeld = read.withVeryUnsafeBytes(\.baseAddress) != memory
            #expect(!isHeld || capacity == 2048 && parser.bufferedByteCount > 0, "\(capacity) bytes")
        }
    }

    @Test("A response that is cut in two at any byte, each half in a buffer of 32 KiB, is read unchanged")
    func cutInTwo() throws {
        let text =
            "HTTP/1.1 200 OK\r\nServer: b\r\n c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nETag: u\r\n\r\n"
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var parser = HTTP1ResponseParser()
            parser.beginResponse(to: .other)
            var (body, folded, trailer) = ("", String?.none, String?.none)
            for half in [bytes[..<cut], bytes[cut...]] {
                var read = ByteBufferAllocator().buffer(capacity: 32_768)
                read.writeBytes(half)
                parser.append(read.compact())
                parsing: while true {
                    switch try parser.next() {
                    case .head(let head, _): folded = head.fields[.server]
                    case .body(let piece): body += String(buffer: piece)
                    case .end(let trailers):
                        trailer = trailers?[.eTag]
                        break parsing
                    case .needMoreBytes: break parsing
                    case .informational: Issue.record("nobody sent one")
                    }
                }
            }
            #expect(body == "abcde", "cut at \(cut)")
            #expect(folded == "b c", "cut at \(cut)")
            #expect(trailer == "u", "cut at \(cut)")
        }
    }

    @Test("Few bytes in a large buffer are copied; many bytes, or few in a small buffer, are not")
    func compact() {
        func isCopied(_ count: Int, in capacity: Int) -> Bool {
            var buffer = ByteBufferAllocator().buffer(capacity: capacity)
            buffer.writeRepeatingByte(7, count: count)
            let compact = buffer.compact()
            #expect(compact == buffer)
            return compact.withVeryUnsafeBytes(\.baseAddress) != buffer.withVeryUnsafeBytes(\.baseAddress)
        }
        #expect(isCopied(0, in: 32_768))
        #expect(isCopied(1, in: 32_768))
        #expect(isCopied(4096, in: 32_768))
        #expect(!isCopied(4097, in: 32_768))
        #expect(!isCopied(4000, in: 8192))
        #expect(!isCopied(1, in: 4096))
    }
}
