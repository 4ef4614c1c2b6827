import BowlineCall
import BowlineCore
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Limits of decompression", .timeLimit(.minutes(3)))
struct DecompressionLimitTests {
    private static let megabyte = 1 << 20
    private static let gigabyte = 1 << 30
    /// 1 MiB of zeros in a kilobyte: as a gzip member of its own, as many of them in a row as one likes.
    private static let bombPiece = CodedBytes.encode([UInt8](repeating: 0, count: megabyte), as: .gzip)

    /// `count` members, pulled one by one.
    private static func bomb(count: Int = 1024) -> SpiedBody {
        SpiedBody { number in number < count ? ByteBuffer(bytes: bombPiece) : nil }
    }

    /// The number of bytes read and the end; the bytes are not kept.
    private static func measure(_ body: ResponseBody) async -> (count: Int, largest: Int, error: ServiceError?) {
        var count = 0
        var largest = 0
        do {
            for try await chunk in body {
                count += chunk.readableBytes
                largest = max(largest, chunk.readableBytes)
            }
            return (count, largest, nil)
        } catch {
            return (count, largest, error as? ServiceError)
        }
    }

    @Test("a bomb of 1 GiB from 1 MB fails by its ratio, under 16 MiB of memory", .tags(.DC7, .I11))
    func ratio() async throws {
        let body = Self.bomb()
        let growth = try await ProcessMemory.peakGrowth {
            let read = await Self.measure(try await CodedResponse("gzip", body).received().body)
            #expect(read.error?.code == .decompressionLimitExceeded)
            #expect(read.count <= Self.megabyte)
        }
        #expect(growth ?? 0 < 16 * Self.megabyte)
        #expect(body.seen.pulls < 4)
        #expect(body.seen.abandonments == 1)
    }

    @Test("without a ratio, the same bomb fails at the absolute limit, under 16 MiB of memory", .tags(.DC7))
    func absolute() async throws {
        let limit = 100 * Self.megabyte + 1
        let growth = try await ProcessMemory.peakGrowth {
            let made = CodedResponse("gzip", Self.bomb())
            let read = await Self.measure(try await made.received(options: .limits(bytes: limit)).body)
            #expect(read.error?.code == .decompressionLimitExceeded)
            #expect(read.count <= limit)
            #expect(read.count > limit - 16_384)
        }
        #expect(growth ?? 0 < 16 * Self.megabyte)
    }

    @Test("without limits, 1 GiB streams through under 16 MiB of memory, 16 KiB at a time", .tags(.DC7, .DC11))
    func unlimited() async throws {
        let growth = try await ProcessMemory.peakGrowth {
            let made = CodedResponse("gzip", Self.bomb())
            let read = await Self.measure(try await made.received(options: .limits()).body)
            #expect(read.error == nil)
            #expect(read.count == Self.gigabyte)
            #expect(read.largest <= 16_384)
        }
        #expect(growth ?? 0 < 16 * Self.megabyte)
    }

    @Test("a nested bomb, gzip in gzip in gzip, fails under 16 MiB of memory", .tags(.DC7, .I11))
    func nested() async throws {
        var coded = Array(repeating: Self.bombPiece, count: 1024).flatMap { $0 }
        coded = CodedBytes.encode(CodedBytes.encode(coded, as: .gzip), as: .gzip)
        #expect(coded.count < 10_000)
        let growth = try await ProcessMemory.peakGrowth { [coded] in
            let made = CodedResponse("gzip, gzip, gzip", coded, inPiecesOf: 100)
            let read = await Self.measure(try await made.received().body)
            #expect(read.error?.code == .decompressionLimitExceeded)
            #expect(read.count <= 2 * Self.megabyte)
        }
        #expect(growth ?? 0 < 16 * Self.megabyte)
    }

    @Test("A bomb that grows only between its layers and yields no bytes fails too", .tags(.DC7))
    func nothingInTheEnd() async throws {
        let empty = CodedBytes.encode([], as: .gzip)
        let members = Array(repeating: empty, count: 500_000).flatMap { $0 }
        let coded = CodedBytes.encode(members, as: .gzip)
        let read = await Self.measure(try await CodedResponse("gzip, gzip", coded).received().body)
        #expect(read.count == 0)
        #expect(read.error?.code == .decompressionLimitExceeded)
    }

    @Test(
        "The limit is exact: a body of that many bytes passes, one byte more fails", .tags(.DC7),
        arguments: [1, 16_384, 50_000])
    func exactLimit(limit: Int) async throws {
        for (count, passes) in [(limit, true), (limit + 1, false)] {
            let coded = CodedBytes.encode([UInt8](repeating: 1, count: count), as: .zlib)
            let made = CodedResponse("deflate", coded)
            let read = await Self.measure(try await made.received(options: .limits(bytes: limit)).body)
            #expect((read.error == nil) == passes)
            #expect(read.count <= limit)
        }
    }

    @Test("small bodies may be any number of times larger than what was received", .tags(.DC7))
    func smallHonestBodies() async throws {
        let coded = CodedBytes.encode([UInt8](repeating: 0, count: Self.megabyte), as: .gzip)
        #expect(Self.megabyte / coded.count > 200)
        let read = await Self.measure(try await CodedResponse("gzip", coded).received().body)
        #expect(read.error == nil)
        #expect(read.count == Self.megabyte)
    }

    @Test("the ratio is of the bytes received so far, whatever length was announced", .tags(.DC7))
    func announcedLength() async throws {
        var made = CodedResponse(
            "gzip",
            SpiedBody(announcedLength: 1 << 40) { number in number < 64 ? ByteBuffer(bytes: Self.bombPiece) : nil })
        made.fields[.contentLength] = String(1 << 40)
        let read = await Self.measure(try await made.received().body)
        #expect(read.error?.code == .decompressionLimitExceeded)
    }

    @Test("A body at the ratio passes, a body above it fails", .tags(.DC7), arguments: [true, false])
    func ratioBoundary(passes: Bool) async throws {
        let roundedUp = (Self.megabyte + Self.bombPiece.count - 1) / Self.bombPiece.count
        let made = CodedResponse("gzip", Self.bomb(count: 4))
        let options = DecompressionOptions.limits(ratio: passes ? roundedUp : roundedUp - 1)
        let read = await Self.measure(try await made.received(options: options).body)
        #expect((read.error == nil) == passes)
    }

    @Test(
        "A body that decodes to exactly its ratio passes, and with one byte more it fails", .tags(.DC7),
        arguments: [0, 1])
    func exactRatio(surplus: Int) async throws {
        let (ratio, received) = (500, 4_200)
        let decoded = ratio * received + surplus
        var coded = CodedBytes.encode([UInt8](repeating: 0x61, count: decoded), as: .gzip)
        // A file name in the header (RFC 1952 §2.3.1) makes the coded bytes as many as the ratio needs.
        let name = [UInt8](repeating: 0x6E, count: received - coded.count - 1) + [0]
        coded[3] |= 0x08
        coded.insert(contentsOf: name, at: 10)
        try #require(coded.count == received)
        let response = try await CodedResponse("gzip", coded).received(options: .limits(ratio: ratio))
        let read = await response.body.readAll()
        if surplus == 0 {
            #expect(read.error == nil)
            #expect(read.bytes.count == decoded)
        } else {
            #expect((read.error as? ServiceError)?.code == .decompressionLimitExceeded)
        }
    }
}
