// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let bowline = Target.Dependency.product(name: "Bowline", package: "bowline")
let bowlineTesting = Target.Dependency.product(name: "BowlineTesting", package: "bowline")
let openAPIRuntime = Target.Dependency.product(name: "OpenAPIRuntime", package: "swift-openapi-runtime")

// A package of its own, so that users of Bowline resolve the runtime only if they generate a client.
let package = Package(
    name: "bowline-openapi",
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: [.library(name: "BowlineOpenAPI", targets: ["BowlineOpenAPI"])],
    dependencies: [
        .package(name: "bowline", path: "../.."),
        .package(url: "https://github.com/apple/swift-openapi-runtime", from: "1.11.0"),
    ],
    targets: [
        .target(name: "BowlineOpenAPI", dependencies: [bowline, openAPIRuntime], swiftSettings: strict),
        .testTarget(
            name: "BowlineOpenAPITests",
            dependencies: ["BowlineOpenAPI", bowline, bowlineTesting, openAPIRuntime],
            swiftSettings: strict
        ),
    ]
)
