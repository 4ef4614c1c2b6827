// `import Bowline` also imports the types of BowlineCore.
@_exported public import BowlineCore
