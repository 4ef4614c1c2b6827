// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var I1: Self
    @Tag static var KA17: Self
    @Tag static var PX4: Self
}
