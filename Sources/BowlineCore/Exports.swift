// `HTTPTypes` is the currency for method, status and fields: a user of Bowline never has to import it as well.
@_exported public import HTTPTypes
