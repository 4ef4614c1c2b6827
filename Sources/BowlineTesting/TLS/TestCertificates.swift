/// Certificates for tests: authorities, servers and clients, both valid ones and ones that a client or a server must
/// refuse.
///
/// Their private keys are public, so never trust ``authority`` outside a test. All certificates are valid until 2076
/// unless their documentation says otherwise.
public enum TestCertificates {
    /// A certificate and its private key.
    public struct Identity: Sendable, Hashable, CustomStringConvertible {
        /// The certificate, in PEM.
        public let certificate: String
        /// The private key, in PEM.
        public let key: String

        /// Makes an identity.
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }

        /// A part of the certificate that differs from other certificates. Contains nothing of the key.
        public var description: String { "certificate …\(certificate.suffix(48).prefix(20))…" }
    }

    /// The authority that clients under test should trust, in PEM.
    public static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBrTCCAVOgAwIBAgIJRQCzdZ71+A20MAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
        DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
        IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDkxFjAUBgNVBAoMDUJv
        d2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkwWTAT
        BgcqhkjOPQIBBggqhkjOPQMBBwNCAAREix4S8fhwCOQYLFr3L9bBNNed80aYdUZc
        lcilR4tdp2nRZj98wK+l/psK8uSyj3L2B0uu8GRhtP55R+HXoQW8o0IwQDAPBgNV
        HRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUod6yd9EzYq0x
        RpEEZbv8bLqlYhQwCgYIKoZIzj0EAwIDSAAwRQIgC+fLU480hvdI+hJ7vI/KWznn
        bR9OheriJK7V71xrjH8CIQD/uYFTr/B/SgLymT2lk/0d5SK8Wft+8SUEuOfudwk4
        wg==
        -----END CERTIFICATE-----
        """

    /// An authority that clients under test should not trust, in PEM.
    public static let otherAuthority = """
        -----BEGIN CERTIFICATE-----
        MIIBrTCCAVOgAwIBAgIJTt2EA34+lOmPMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
        DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkFub3RoZXIgdGVzdCBhdXRob3JpdHkw
        IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDkxFjAUBgNVBAoMDUJv
        d2xpbmUgdGVzdHMxHzAdBgNVBAMMFkFub3RoZXIgdGVzdCBhdXRob3JpdHkwWTAT
        BgcqhkjOPQIBBggqhkjOPQMBBwNCAAR92ofFAXVV4zTP6M4TpIDAarYZi+vWrTS+
        a15PItPdB2wNvEznrHErqUUEnYctPOwv38r6WmKlpWyaWM6hUje5o0IwQDAPBgNV
        HRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUErtYY6IS7a1P
        fd56O/DpK1XMvQMwCgYIKoZIzj0EAwIDSAAwRQIhALU7jO8IY2Dt5tkWSqMmfpdn
        y/dATSKEaAWOpedJ7719AiAGinw8d3D8kite+rpMbLGO8LO0G6mTGnl4g3leaQkU
        Xg==
        -----END CERTIFICATE-----
        """

    /// A certificate that a client should accept: for `localhost`, `127.0.0.1` and `::1`, issued by ``authority``.
    public static let server = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIICAzCCAamgAwIBAgIJTP9Qyp8sQ1+kMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMCwxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqG
            SM49AwEHA0IABOmOknOlHcfHgkfxdS+8Zl1kHJSbynUZnrkug5FDmLd346Shxtqk
            J9ejyO2ABw+C2b7LvmmzhqHjirjpKV/G39ejgaQwgaEwDAYDVR0TAQH/BAIwADAO
            BgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwLAYDVR0RBCUwI4IJ
            bG9jYWxob3N0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABMB0GA1UdDgQWBBS1O2Sl
            4HGX35BtC2JEQmQ8FGzaiDAfBgNVHSMEGDAWgBSh3rJ30TNirTFGkQRlu/xsuqVi
            FDAKBggqhkjOPQQDAgNIADBFAiBT2L73QGv2ugI+P5C8mDJLErDcuc4lmUUhzqnW
            b2xARQIhAPJbUlEkRE9MaOinjqynTEnx20lgWHdkTa8yct9wE8X4
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9Lye0/lVMyRnAQE/
            uTX5uP7LldIgE1cs0nO6cQGk+oShRANCAATpjpJzpR3Hx4JH8XUvvGZdZByUm8p1
            GZ65LoORQ5i3d+OkocbapCfXo8jtgAcPgtm+y75ps4ah44q46Slfxt/X
            -----END PRIVATE KEY-----
            """
    )

    /// A certificate for other hosts: `wrong.example` and `192.0.2.1`, issued by ``authority``.
    public static let wrongHost = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIB+TCCAZ+gAwIBAgIJRU9YrUo9jwSNMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDAxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxFjAUBgNVBAMMDXdyb25nLmV4YW1wbGUwWTATBgcqhkjOPQIB
            BggqhkjOPQMBBwNCAASSC2J7j6Dt6wduCEBKjXm5HmKm/7cW4JA7X1zW8Xhc+0ZI
            NioMXhQKBFl4gseK1uZKZzwr75t60RiF9TonEz2Xo4GWMIGTMAwGA1UdEwEB/wQC
            MAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB4GA1UdEQQX
            MBWCDXdyb25nLmV4YW1wbGWHBMAAAgEwHQYDVR0OBBYEFAd/01beJ5phJsmkJ0XZ
            fpiNMxuDMB8GA1UdIwQYMBaAFKHesnfRM2KtMUaRBGW7/Gy6pWIUMAoGCCqGSM49
            BAMCA0gAMEUCIQC1g6dhagFYLX6EE+T5sCuxSm1uvI6lJ9QdO7lWXEQvdgIgC6w/
            lT0SlGeJ64UyWLAiH9i0olvfRERkevW2Hlr8vd8=
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1Nm+myFcN/w6DPyk
            SU1zy2P249D1IQ0G4IOQuzp28zChRANCAASSC2J7j6Dt6wduCEBKjXm5HmKm/7cW
            4JA7X1zW8Xhc+0ZINioMXhQKBFl4gseK1uZKZzwr75t60RiF9TonEz2X
            -----END PRIVATE KEY-----
            """
    )

    /// Like ``server``, but expired in 2021.
    public static let expired = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIICADCCAaegAwIBAgIJTb4wbzw6/0UCMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            HhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjAsMRYwFAYDVQQKDA1Cb3ds
            aW5lIHRlc3RzMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
            PQMBBwNCAAT/258nlqSoW31lotkwIKIV3aH3yQjyOsML9RPdvMfTNgTxT92Al55o
            TgO20cndfUxtWmjG7OR2prj1Vd6+fXcVo4GkMIGhMAwGA1UdEwEB/wQCMAAwDgYD
            VR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMCwGA1UdEQQlMCOCCWxv
            Y2FsaG9zdIcEfwAAAYcQAAAAAAAAAAAAAAAAAAAAATAdBgNVHQ4EFgQUmgE6TUeI
            KuOEKlnxnVraQQlNTNEwHwYDVR0jBBgwFoAUod6yd9EzYq0xRpEEZbv8bLqlYhQw
            CgYIKoZIzj0EAwIDRwAwRAIgRgBMnq0F4Hw9Qw0nGVeYvugCUxykbv4ry3D93QBR
            s/0CIA3eaDEPhxj1xXxU3ar/0shAg9HWaKlZkTSU85TyC7B+
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgy18ORCLWf3f/pVPr
            fr8jy/1Tx4c9WR12DvlOAUoULt2hRANCAAT/258nlqSoW31lotkwIKIV3aH3yQjy
            OsML9RPdvMfTNgTxT92Al55oTgO20cndfUxtWmjG7OR2prj1Vd6+fXcV
            -----END PRIVATE KEY-----
            """
    )

    /// Like ``server``, but valid only from 2070.
    public static let notYetValid = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIICBTCCAaugAwIBAgIJTEtDMl37p719MAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IhgPMjA3MDAxMDEwMDAwMDBaGA8yMDcxMDEwMTAwMDAwMFowLDEWMBQGA1UECgwN
            Qm93bGluZSB0ZXN0czESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYI
            KoZIzj0DAQcDQgAEpiXy6lxyfTrXEEUZcUdWPwwYqbFM7sqnGiLufG0hd0JL/evP
            54hL7zPe41yWJPj09llkWz5VVU+nQFn5oL7qWaOBpDCBoTAMBgNVHRMBAf8EAjAA
            MA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAsBgNVHREEJTAj
            gglsb2NhbGhvc3SHBH8AAAGHEAAAAAAAAAAAAAAAAAAAAAEwHQYDVR0OBBYEFC8p
            qMF+kJh61Jpf8jqHWfqMD5AbMB8GA1UdIwQYMBaAFKHesnfRM2KtMUaRBGW7/Gy6
            pWIUMAoGCCqGSM49BAMCA0gAMEUCIQDoGUE4KLHtImteX0tODuypMzh46M7pC9V2
            E9C2/G1rsgIgBf/evfmQ1vT2XDVlqV7QFgUZIzmWUrqawaU1+zbJVL4=
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR9foGiRCs65Pa4lL
            QNzGktMWh654U9pbB92vicsmEoKhRANCAASmJfLqXHJ9OtcQRRlxR1Y/DBipsUzu
            yqcaIu58bSF3Qkv968/niEvvM97jXJYk+PT2WWRbPlVVT6dAWfmgvupZ
            -----END PRIVATE KEY-----
            """
    )

    /// A certificate with `localhost` as its common name and no alternative name. Clients ignore the common name (RFC
    /// 9110 §4.3.4).
    public static let nameOnlyInSubject = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIB0zCCAXmgAwIBAgIJSXk9Z8yHBFPrMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMCwxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqG
            SM49AwEHA0IABOH3StCMUKAHJY2us6QWyBcCVdKpHmmCwEg/gsp1fSUS55QP57O+
            lhApoydV2snPD3uDkxF0hmBqMgDDN8pJpDSjdTBzMAwGA1UdEwEB/wQCMAAwDgYD
            VR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQWBBT8T8uG
            1EVnHHZmdV2Erf9U1jbHwDAfBgNVHSMEGDAWgBSh3rJ30TNirTFGkQRlu/xsuqVi
            FDAKBggqhkjOPQQDAgNIADBFAiAcEdTdlsnV6nHgIf5c4gVBXy5s34UMcDGyT4Y5
            iL8elQIhANmPnmXSJIkR85BIbU976wqUqOe2vcvmgTtS+C75ZXj6
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPoT4R4paOpJSPGBn
            JHa2aOyRHYlZDnGOcWoHWsxYGzOhRANCAATh90rQjFCgByWNrrOkFsgXAlXSqR5p
            gsBIP4LKdX0lEueUD+ezvpYQKaMnVdrJzw97g5MRdIZgajIAwzfKSaQ0
            -----END PRIVATE KEY-----
            """
    )

    /// A certificate for `*.test.example`, issued by ``authority``.
    public static let wildcard = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIB9jCCAZugAwIBAgIJTZ6J4c7fhJFUMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDExFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxFzAVBgNVBAMMDioudGVzdC5leGFtcGxlMFkwEwYHKoZIzj0C
            AQYIKoZIzj0DAQcDQgAEaZkGMWSaIkbXG5BAU1Hs03eJbHdmgYoeBEWfTBbY4Pxe
            y/iZkQuF/XuY8j4i/N6BIVQQmX4zMQwVcjWOtWYbdqOBkTCBjjAMBgNVHRMBAf8E
            AjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAZBgNVHREE
            EjAQgg4qLnRlc3QuZXhhbXBsZTAdBgNVHQ4EFgQUkY145msyObzf7KQzMUe9ALtL
            o0QwHwYDVR0jBBgwFoAUod6yd9EzYq0xRpEEZbv8bLqlYhQwCgYIKoZIzj0EAwID
            SQAwRgIhAMwWD5qE28vjo8byJX1anWdhSrLH4dv285H0YqsR8h3HAiEA1L/TdwdP
            sNIfUVDFxdVGpbnICrObx2zD0/TjLBe5EMc=
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJMr2dg1kEfubtUbC
            WasGpBcm0kvbWJXCjkxAvZ281FWhRANCAARpmQYxZJoiRtcbkEBTUezTd4lsd2aB
            ih4ERZ9MFtjg/F7L+JmRC4X9e5jyPiL83oEhVBCZfjMxDBVyNY61Zht2
            -----END PRIVATE KEY-----
            """
    )

    /// Like ``server``, but issued by ``otherAuthority``.
    public static let untrusted = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIICAzCCAamgAwIBAgIJRDO8BR5DJC+vMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkFub3RoZXIgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMCwxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqG
            SM49AwEHA0IABMs8XBydCrlRuSIfBr1Bx9YgWoHG7Ny2yM0LByBlozypZD9SwDnA
            qvFnTE3J1yjwUEQhK+P+IV48vbv+e9y9grOjgaQwgaEwDAYDVR0TAQH/BAIwADAO
            BgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwLAYDVR0RBCUwI4IJ
            bG9jYWxob3N0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABMB0GA1UdDgQWBBSmamma
            cbi08gBkaF7s72kFntJfbDAfBgNVHSMEGDAWgBQSu1hjohLtrU993no78OkrVcy9
            AzAKBggqhkjOPQQDAgNIADBFAiBaGnWMPOxKgilhbcxojMKBKwG5zrs8cQ8tKykf
            /PEZLAIhAKUotB6GjgIKzWhik1QJt7IR055VZJNlLaAcfyXYI70S
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrekUsVMsNlZroecO
            eDnup8S4v/N54ltKVoJv/O4eD0ahRANCAATLPFwcnQq5UbkiHwa9QcfWIFqBxuzc
            tsjNCwcgZaM8qWQ/UsA5wKrxZ0xNydco8FBEISvj/iFePL27/nvcvYKz
            -----END PRIVATE KEY-----
            """
    )

    /// A client's certificate, issued by ``authority``.
    public static let client = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIB3TCCAYOgAwIBAgIJQy9hSSB0zk2AMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkJvd2xpbmUgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDYxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxHDAaBgNVBAMME0Jvd2xpbmUgdGVzdCBjbGllbnQwWTATBgcq
            hkjOPQIBBggqhkjOPQMBBwNCAASueCPyAOiu4tahyh07m0O76Yup/xdMLYgdQJPQ
            BeamY4ZlFZApyGvX/cOOKsHFoiPVsINF5i2a90uSOei0wHZ1o3UwczAMBgNVHRMB
            Af8EAjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNV
            HQ4EFgQUL3qJCCfBOFFMHO9o2NIfIv5IR8gwHwYDVR0jBBgwFoAUod6yd9EzYq0x
            RpEEZbv8bLqlYhQwCgYIKoZIzj0EAwIDSAAwRQIhAIKqv9O9qkq67I0U9eLRDt+U
            Ee/pAl+/W0+tj0FI5hFnAiBeMOHLrVTC9bWEMT69WzoT648fUvyk9qlPnFcjE4jQ
            Wg==
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpiZgDhpV/LFkmETl
            Av7ITomZ1vB7bUejCS8021pDEqihRANCAASueCPyAOiu4tahyh07m0O76Yup/xdM
            LYgdQJPQBeamY4ZlFZApyGvX/cOOKsHFoiPVsINF5i2a90uSOei0wHZ1
            -----END PRIVATE KEY-----
            """
    )

    /// A client's certificate, issued by ``otherAuthority``.
    public static let untrustedClient = Identity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIB4DCCAYWgAwIBAgIJQiMg8CVyE1tKMAoGCCqGSM49BAMCMDkxFjAUBgNVBAoM
            DUJvd2xpbmUgdGVzdHMxHzAdBgNVBAMMFkFub3RoZXIgdGVzdCBhdXRob3JpdHkw
            IBcNMjAwMTAxMDAwMDAwWhgPMjA3NjAxMDEwMDAwMDBaMDgxFjAUBgNVBAoMDUJv
            d2xpbmUgdGVzdHMxHjAcBgNVBAMMFVVudHJ1c3RlZCB0ZXN0IGNsaWVudDBZMBMG
            ByqGSM49AgEGCCqGSM49AwEHA0IABP3xMva70ectzjB8rLSdrnSrh3pdvl5uwsK4
            5w1BkcZWvO9wiEBGesJ+1MYnWmpMGwp4WZCAbAafpjT6BY/yyg2jdTBzMAwGA1Ud
            EwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMCMB0G
            A1UdDgQWBBQ6wJjl6wXfKm6p+a4EpKp46nkryzAfBgNVHSMEGDAWgBQSu1hjohLt
            rU993no78OkrVcy9AzAKBggqhkjOPQQDAgNJADBGAiEAn5ykb8S5yweajR65ogw1
            mluHx/6m0q2BZQtILYOFQ2YCIQCoK0f9r7b8xLwNTEj1j0xjRzfYplGse5jqQKav
            Ktm/tg==
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVJMnlq87wy5VZ6ez
            6XP+QVTugLbejvsFnfyKnmsvvbihRANCAAT98TL2u9HnLc4wfKy0na50q4d6Xb5e
            bsLCuOcNQZHGVrzvcIhARnrCftTGJ1pqTBsKeFmQgGwGn6Y0+gWP8soN
            -----END PRIVATE KEY-----
            """
    )
}
