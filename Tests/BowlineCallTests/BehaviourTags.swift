// Written by Scripts/behaviours: the ids of Tests/BEHAVIOURS.md that these tests show.

import Testing

extension Tag {
    @Tag static var CA10: Self
    @Tag static var CA11: Self
    @Tag static var DC1: Self
    @Tag static var DC2: Self
    @Tag static var DC3: Self
    @Tag static var DC4: Self
    @Tag static var DC5: Self
    @Tag static var DC6: Self
    @Tag static var DC7: Self
    @Tag static var DC8: Self
    @Tag static var DC9: Self
    @Tag static var DC10: Self
    @Tag static var DC11: Self
    @Tag static var HG1: Self
    @Tag static var HG2: Self
    @Tag static var HG3: Self
    @Tag static var HG4: Self
    @Tag static var HG5: Self
    @Tag static var HG6: Self
    @Tag static var HG7: Self
    @Tag static var HG8: Self
    @Tag static var HG10: Self
    @Tag static var I9: Self
    @Tag static var I11: Self
    @Tag static var RD1: Self
    @Tag static var RD2: Self
    @Tag static var RD3: Self
    @Tag static var RD4: Self
    @Tag static var RD5: Self
    @Tag static var RD6: Self
    @Tag static var RD7: Self
    @Tag static var RT5: Self
    @Tag static var RT14: Self
    @Tag static var RT15: Self
    @Tag static var RT16: Self
    @Tag static var RT17: Self
    @Tag static var RT18: Self
    @Tag static var RT19: Self
    @Tag static var RT20: Self
    @Tag static var RT21: Self
    @Tag static var TO5: Self
}
