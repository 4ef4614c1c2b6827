// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var BI4: Self
    @Tag static var TL1: Self
    @Tag static var VT1: Self
    @Tag static var VT2: Self
    @Tag static var VT3: Self
    @Tag static var VT4: Self
    @Tag static var VT5: Self
}
