// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var H1a: Self
    @Tag static var H1b: Self
    @Tag static var H1d: Self
    @Tag static var H1f: Self
    @Tag static var H1g: Self
    @Tag static var H2a: Self
    @Tag static var H2c: Self
    @Tag static var H2g: Self
    @Tag static var H2j: Self
    @Tag static var H2l: Self
    @Tag static var H2m: Self
    @Tag static var H2o: Self
    @Tag static var H2p: Self
    @Tag static var H2t: Self
    @Tag static var H2w: Self
    @Tag static var H2z: Self
    @Tag static var I1: Self
    @Tag static var I2: Self
    @Tag static var I3: Self
    @Tag static var I4: Self
    @Tag static var I6: Self
    @Tag static var I7: Self
    @Tag static var I8: Self
    @Tag static var I15: Self
    @Tag static var KA1: Self
    @Tag static var KA2: Self
    @Tag static var KA4: Self
    @Tag static var KA5: Self
    @Tag static var KA11: Self
    @Tag static var KA13: Self
    @Tag static var KA15: Self
    @Tag static var KA19: Self
}
