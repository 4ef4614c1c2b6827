extension Double {
    /// The nearest number from 0 to 1; 0 for NaN. What a program's source of chance returns passes here once, where it enters:
    /// `Duration` traps on what it cannot hold.
    package var clampedToUnit: Double {
        isNaN ? 0 : Swift.min(Swift.max(self, 0), 1)
    }
}
