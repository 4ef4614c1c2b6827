// One import is enough: the vocabulary comes along.
@_exported public import BowlineCore
