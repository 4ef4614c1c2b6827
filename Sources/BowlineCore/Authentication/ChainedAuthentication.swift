/// An authenticator made of several members. They add their credentials in order, and each sees the credentials of the
/// earlier ones.
///
/// For example, a signature that covers a token:
/// ```swift
/// $0.authentication = ChainedAuthentication(
///     BearerAuthentication { try await identity.token() },
///     SigningAuthentication(bodyUpTo: 1 << 20) { request, _, body in
///         request.fields[signature] = sign(request, body)
///     })
/// ```
/// After a 401 the chain finds out which members have other credentials. If any member has other credentials, the
/// request is sent once more, and all members add their credentials again. The second sending takes nothing from the
/// origin's retry budget if a ``BearerAuthentication`` in the chain has another token. If only an authenticator of your
/// own has other credentials, the second sending takes a retry from the budget, as it does without a chain.
///
/// A ``BearerAuthentication`` recognises a refused token by the `Authorization` field. If a later member rewrites that
/// field, the current token counts as the refused one.
///
/// A member may be a chain. A chain without members adds nothing. The description contains only the types of the
/// members.
public struct ChainedAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private enum Member: Sendable {
        case ours(any BoundedAuthenticator)
        case user(any RequestAuthenticator)

        var name: String {
            switch self {
            case .ours(let member): "\(type(of: member))"
            case .user(let member): "\(type(of: member))"
            }
        }
    }

    private let members: [Member]

    /// Whether a member may wait beyond the request's deadline. Then the whole chain runs in its own task, so that the
    /// request still ends at its deadline.
    package let mayWait: Bool

    /// Makes a chain.
    ///
    /// - Parameter members: The authenticators, in the order in which they add their credentials.
    public init(_ members: any RequestAuthenticator...) {
        self.init(members)
    }

    /// Makes a chain from an array.
    ///
    /// - Parameter members: The authenticators, in the order in which they add their credentials.
    public init(_ members: [any RequestAuthenticator]) {
        var sorted: [Member] = []
        var mayWait = false
        for member in members {
            if let ours = member as? any BoundedAuthenticator {
                sorted.append(.ours(ours))
                mayWait = mayWait || ours.mayWait
            } else {
                sorted.append(.user(member))
                mayWait = true
            }
        }
        self.members = sorted
        self.mayWait = mayWait
    }

    /// Adds the credentials of each member, in order.
    ///
    /// - Throws: the error of the first member that fails; later members are not called.
    public func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        try await authenticate(&request, context: context, clock: context.clock)
    }

    package func authenticate(
        _ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock
    ) async throws {
        for member in members {
            switch member {
            case .ours(let member): try await member.authenticate(&request, context: context, clock: clock)
            case .user(let member): try await member.authenticate(&request, context: context)
            }
        }
    }

    /// Notifies each member that the service refused the credentials.
    ///
    /// - Returns: whether a member has other credentials.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
        let renewal = recordRefusal(of: request, response: response, clock: MonotonicClock())
        return renewal.bowlineMayRenew || renewal.userClaimsRenewal
    }

    package func recordRefusal(
        of request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> RenewalChance {
        var renewal = RenewalChance()
        for member in members {
            switch member {
            case .ours(let member):
                let own = member.recordRefusal(of: request, response: response, clock: clock)
                renewal.bowlineMayRenew = own.bowlineMayRenew || renewal.bowlineMayRenew
                renewal.userClaimsRenewal = own.userClaimsRenewal || renewal.userClaimsRenewal
            case .user(let member):
                // Called even if an earlier member has other credentials: this member may have to forget its refused
                // credentials.
                let isClaimed = member.credentialsRefused(request, response: response)
                renewal.userClaimsRenewal = isClaimed || renewal.userClaimsRenewal
            }
        }
        return renewal
    }

    package func renewCredentials(context: RequestContext, clock: any ServiceClock) async throws -> CredentialRenewal {
        for case .ours(let member) in members {
            if try await member.renewCredentials(context: context, clock: clock) == .renewed { return .renewed }
        }
        return .notRenewed
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        for (index, member) in members.enumerated() {
            if case .ours(let ours) = member { problems += ours.problems(at: "\(path)[\(index)]") }
        }
        return problems
    }
}

extension ChainedAuthentication: CustomStringConvertible, CustomReflectable {
    /// The types of the members. Contains nothing else of them.
    public var description: String {
        "ChainedAuthentication(\(members.map(\.name).joined(separator: ", ")))"
    }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
