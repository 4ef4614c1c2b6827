// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var TL1: Self
}
