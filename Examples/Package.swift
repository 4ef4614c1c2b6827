// swift-tools-version: 6.2
import PackageDescription

let bowline = Target.Dependency.product(name: "Bowline", package: "bowline")
let bowlineTesting = Target.Dependency.product(name: "BowlineTesting", package: "bowline")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

/// Declares an example: one idea in one program, with a server in its own process. The program fails if its claims are
/// not true.
func example(_ name: String, needing more: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name, dependencies: [bowline, bowlineTesting, "Claims"] + more, swiftSettings: [.swiftLanguageMode(.v6)])
}

// A separate package, so that users of Bowline never resolve the dependencies of the examples.
let package = Package(
    name: "examples",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "bowline", path: "..", traits: ["Configuration"]),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "Claims", swiftSettings: [.swiftLanguageMode(.v6)]),
        example("Demo"),
        example("TypedAPI"),
        example("RetryPolicy"),
        example("Streaming"),
        example("CustomMiddleware"),
        example("Signing", needing: [crypto]),
        example("HummingbirdService", needing: [hummingbird, logging, serviceLifecycle]),
        // Without pkg-config: its flags for this library make SwiftPM warn.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]),
        example("FleetLimit", needing: ["CHiredis"]),
        .testTarget(
            name: "TypedAPITests",
            dependencies: ["TypedAPI", bowline, bowlineTesting],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
        // Tests the trait Configuration. Bowline's own tests are built without it. Two files are links into those
        // tests.
        .testTarget(
            name: "ConfigurationTests",
            dependencies: [bowline, bowlineTesting, configuration],
            swiftSettings: [.swiftLanguageMode(.v6), .define("Configuration")]
        ),
        .testTarget(
            name: "SigningTests",
            dependencies: ["Signing", bowline, bowlineTesting, crypto],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
        .testTarget(
            name: "FleetLimitTests",
            dependencies: ["FleetLimit", bowline],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
    ]
)
