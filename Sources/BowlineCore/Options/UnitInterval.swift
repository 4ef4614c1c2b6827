extension Double {
    /// The nearest number from 0 to 1; 0 for NaN. Every number of a program's random source is clamped once, where it enters:
    /// `Duration` traps on values that it cannot hold.
    package var clampedToUnit: Double {
        isNaN ? 0 : Swift.min(Swift.max(self, 0), 1)
    }
}
