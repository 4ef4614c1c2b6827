// swift-tools-version: 6.2
import PackageDescription

// A separate package, so that users of Bowline never resolve the dependencies of the benchmarks.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "bowline", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    ],
    targets: [
        .executableTarget(
            name: "NIOFloor",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
        .executableTarget(
            name: "NIOFloorDriver",
            dependencies: [
                "DriverKit",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        .target(name: "AllocationCount"),
        // The C library of the platform. It is the only target that asks which platform it is.
        .target(name: "BenchmarkPlatform", swiftSettings: [.swiftLanguageMode(.v6)]),
        .executableTarget(
            name: "PipelineCost",
            dependencies: [
                "AllocationCount", "BenchmarkPlatform", .product(name: "Bowline", package: "bowline"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")],
            // Makes the Swift runtime, which is a separate library, allocate through the counting functions.
            linkerSettings: [.unsafeFlags(["-Xlinker", "-export-dynamic"], .when(platforms: [.linux]))]
        ),
        .target(
            name: "DriverKit", dependencies: ["BenchmarkPlatform"],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        .executableTarget(
            name: "BowlineDriver",
            dependencies: ["DriverKit", .product(name: "Bowline", package: "bowline")],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        .executableTarget(
            name: "AsyncHTTPClientDriver",
            dependencies: [
                "DriverKit",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        // Not for `make bench`: AsyncHTTPClient behind a retry loop, for `make chaos`.
        .executableTarget(
            name: "RetryLoopDriver",
            dependencies: [
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        .executableTarget(
            name: "URLSessionDriver", dependencies: ["DriverKit"],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
        .executableTarget(
            name: "RequestCost",
            dependencies: ["BenchmarkPlatform", .product(name: "Bowline", package: "bowline")],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        ),
    ]
)
