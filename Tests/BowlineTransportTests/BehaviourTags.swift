// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var CA1: Self
    @Tag static var CA2: Self
    @Tag static var CA4: Self
    @Tag static var H2a: Self
    @Tag static var H2g: Self
    @Tag static var H2i: Self
    @Tag static var H2j: Self
    @Tag static var H2l: Self
    @Tag static var H2n: Self
    @Tag static var H2o: Self
    @Tag static var H2p: Self
    @Tag static var H2q: Self
    @Tag static var H2r: Self
    @Tag static var H2s: Self
    @Tag static var H2v: Self
    @Tag static var H2z: Self
    @Tag static var I5: Self
    @Tag static var I12: Self
    @Tag static var KA13: Self
    @Tag static var KA18: Self
    @Tag static var KA19: Self
    @Tag static var LC2: Self
    @Tag static var LC3: Self
    @Tag static var LC6: Self
    @Tag static var LC14: Self
    @Tag static var PO1: Self
    @Tag static var PO2: Self
    @Tag static var PO3: Self
    @Tag static var PO4: Self
    @Tag static var PO5: Self
    @Tag static var PO6: Self
    @Tag static var PO7: Self
    @Tag static var PO8: Self
    @Tag static var PO9: Self
    @Tag static var PO10: Self
    @Tag static var PO12: Self
    @Tag static var PX2: Self
    @Tag static var PX3: Self
    @Tag static var PX5: Self
    @Tag static var PX6: Self
    @Tag static var RT2: Self
    @Tag static var TO4: Self
}
