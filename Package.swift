// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// The settings of the modules on a request's path: an async function runs on its caller's executor. Without this setting, each
/// call between such functions looks for an executor, which costs more than most of these calls.
let road = strict + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]

let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let serviceLifecycleTestKit = Target.Dependency.product(
    name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsTestKit = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let inMemoryTracing = Target.Dependency.product(name: "InMemoryTracing", package: "swift-distributed-tracing")
let serviceContext = Target.Dependency.product(name: "ServiceContextModule", package: "swift-service-context")
/// Only with the package trait `Configuration`: a package that does not enable the trait does not build this product.
let configuration = Target.Dependency.product(
    name: "Configuration", package: "swift-configuration", condition: .when(traits: ["Configuration"]))
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK = Target.Dependency.product(name: "NIOHPACK", package: "swift-nio-http2")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "bowline",
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: [
        .library(name: "Bowline", targets: ["Bowline"]),
        .library(name: "BowlineCore", targets: ["BowlineCore"]),
        .library(name: "BowlineTesting", targets: ["BowlineTesting"]),
        .executable(name: "bowline", targets: ["BowlineTool"]),
        .executable(name: "bowline-trust", targets: ["BowlineTrust"]),
    ],
    traits: [
        .trait(name: "Configuration", description: "Reads a client's configuration with swift-configuration.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-service-context", from: "1.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "BowlinePlatform", swiftSettings: strict),
        .target(
            name: "BowlineCore", dependencies: ["BowlinePlatform", httpTypes, logging, nioCore, serviceContext],
            swiftSettings: road
        ),
        .target(
            name: "BowlineTransport",
            dependencies: [
                "BowlineCore", "BowlinePlatform", crypto, deque, nioCore, nioPosix, nioTLS, nioSSL,
            ],
            swiftSettings: road
        ),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]
        ),
        .target(
            name: "BowlineCall",
            dependencies: ["BowlineCore", "BowlinePlatform", "CZlib", logging, metrics, tracing],
            swiftSettings: road
        ),
        .target(
            name: "Bowline",
            dependencies: [
                "BowlineCore", "BowlineCall", "BowlineTransport", configuration, logging, serviceLifecycle,
            ],
            swiftSettings: road
        ),
        .target(
            name: "BowlineTesting",
            dependencies: [
                "BowlineCore", "BowlinePlatform", nioConcurrency, nioCore, nioPosix, nioSSL, nioHTTP2, nioHPACK,
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "BowlineTool", dependencies: ["Bowline", "BowlinePlatform", argumentParser], swiftSettings: road
        ),
        .systemLibrary(name: "CMalloc"),
        .executableTarget(
            name: "BowlineTrust",
            dependencies: [
                "Bowline", "BowlineCore", "BowlinePlatform", "BowlineTesting", "BowlineTransport", "CMalloc",
                argumentParser, logging, nioCore, nioHPACK, nioHTTP1, nioHTTP2, nioPosix,
            ],
            swiftSettings: strict
        ),

        // Fuzzing. `make fuzz` builds the executable with libFuzzer. Without libFuzzer, the executable replays inputs from
        // files.
        .target(
            name: "FuzzTargets",
            dependencies: [
                "BowlineCore", "BowlineCall", "BowlineTransport", nioCore, nioEmbedded, nioHPACK, nioHTTP1,
            ],
            path: "Fuzz/FuzzTargets",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "BowlineFuzz", dependencies: ["FuzzTargets"], path: "Fuzz/BowlineFuzz", swiftSettings: strict
        ),

        .target(
            name: "CorpusSupport",
            dependencies: ["CZlib"],
            path: "Tests/CorpusSupport",
            swiftSettings: strict
        ),
        .testTarget(name: "BowlineCoreTests", dependencies: ["BowlineCore", nioCore], swiftSettings: strict),
        .testTarget(name: "BowlineFuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
        .testTarget(
            name: "BowlineWireTests",
            dependencies: [
                "BowlineTransport", "BowlineCore", "CorpusSupport", httpTypes, nioCore, nioEmbedded, nioHPACK, nioHTTP1,
                nioHTTP2,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineTestingTests",
            dependencies: ["BowlineTesting", "BowlineCore", "BowlinePlatform", nioCore, nioPosix, nioSSL],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineTransportTests",
            dependencies: [
                "BowlineTransport", "BowlineCore", "BowlinePlatform", "BowlineTesting", nioCore,
                nioEmbedded, nioHPACK,
                nioHTTP2,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineCallTests",
            dependencies: [
                "BowlineCall", "BowlineCore", "BowlineTesting", "CorpusSupport", inMemoryTracing, logging,
                metrics,
                metricsTestKit, nioCore, tracing,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineTests",
            dependencies: [
                "Bowline", "BowlineCall", "BowlinePlatform", "BowlineTransport", "BowlineTesting",
                "CorpusSupport",
                inMemoryTracing,
                logging, metrics, metricsTestKit, nioCore, nioHPACK, nioHTTP2, nioPosix, nioSSL, tracing,
                serviceLifecycle, serviceLifecycleTestKit, unixSignals,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineToolTests", dependencies: ["BowlineTool", "BowlinePlatform", argumentParser],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BowlineTrustTests",
            dependencies: [
                "BowlineTrust", "Bowline", "BowlineCall", "BowlineCore", "BowlinePlatform", "BowlineTesting",
                argumentParser, nioCore,
            ],
            swiftSettings: strict
        ),
    ]
)
