// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that users of Bowline never resolve what only examples need.
let package = Package(
    name: "examples",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "bowline", path: "..")
    ],
    targets: [
        .executableTarget(
            name: "Demo",
            dependencies: [
                .product(name: "Bowline", package: "bowline"),
                .product(name: "BowlineTesting", package: "bowline"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
        .executableTarget(
            name: "TypedAPI",
            dependencies: [
                .product(name: "Bowline", package: "bowline"),
                .product(name: "BowlineTesting", package: "bowline"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
    ]
)
