extension Double {
    /// The nearest number from 0 to 1; 0 for NaN. Each number from a program's random source is clamped once, where it
    /// enters Bowline, because `Duration` traps on values out of its range.
    package var clampedToUnit: Double {
        isNaN ? 0 : Swift.min(Swift.max(self, 0), 1)
    }
}
