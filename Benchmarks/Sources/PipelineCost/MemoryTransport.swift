import BenchmarkPlatform
import Bowline

/// Answers every request at once with 1 KB from memory.
struct MemoryTransport: ServiceTransport {
    private let fields: HTTPFields = [
        .contentType: "application/json", .server: "memory", .date: "Sun, 22 Nov 2026 12:00:00 GMT",
        .cacheControl: "no-store",
    ]
    private let body = ByteBuffer(repeating: 0x20, count: 1024)

    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        ServiceResponse(status: .ok, fields: fields, body: ResponseBody(body))
    }
}

/// The CPU time of this process, user and system.
func cpuMicroseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}
