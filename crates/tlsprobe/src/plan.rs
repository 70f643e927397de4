//! What the examination of a file tells.

/// Where to probe one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    /// Whose functions these are.
    pub library: Library,
    /// As far as it can be told.
    pub version: Option<Version>,
    /// At most [`MAX_PROBES`](crate::MAX_PROBES), never empty.
    pub probes: Vec<Probe>,
    /// Where `SSL *` has the random number of its client, as `SSL_get_client_random` reads it.
    /// Whoever finds the number of a connection there has that connection's session, so a wrong
    /// offset does no harm.
    pub client_random: Option<u32>,
}

/// A library whose functions can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// OpenSSL, or one that has its function names and no mark of its own.
    OpenSsl,
    /// BoringSSL.
    BoringSsl,
    /// GnuTLS.
    GnuTls,
    /// Go's `crypto/tls`.
    Go,
}

/// What is known of a version; the compatibility name of a shared library tells no more than
/// the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: Option<u16>,
    /// The third number.
    pub patch: Option<u16>,
}

/// A function of a TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// `int SSL_read(SSL *, void *, int)`
    SslRead,
    /// `int SSL_write(SSL *, const void *, int)`
    SslWrite,
    /// `int SSL_read_ex(SSL *, void *, size_t, size_t *)`
    SslReadEx,
    /// `int SSL_write_ex(SSL *, const void *, size_t, size_t *)`
    SslWriteEx,
    /// `int SSL_do_handshake(SSL *)`, `int SSL_accept(SSL *)`, `int SSL_connect(SSL *)`
    SslHandshake,
    /// `int SSL_set_fd(SSL *, int)`
    SslSetFd,
    /// `ssize_t gnutls_record_recv(gnutls_session_t, void *, size_t)`
    GnutlsRecordRecv,
    /// `ssize_t gnutls_record_send(gnutls_session_t, const void *, size_t)`
    GnutlsRecordSend,
    /// `int gnutls_handshake(gnutls_session_t)`
    GnutlsHandshake,
    /// `void gnutls_transport_set_int2(gnutls_session_t, int, int)`
    GnutlsTransportSetInt2,
    /// `func (c *Conn) Read(b []byte) (int, error)` of `crypto/tls`
    GoRead,
    /// `func (c *Conn) Write(b []byte) (int, error)` of `crypto/tls`
    GoWrite,
    /// `func (c *Conn) clientHandshake(ctx context.Context) error` of `crypto/tls`, and the
    /// server's
    GoHandshake,
}

impl Function {
    /// Bytes of the longest name that [`Function::from_go`] knows.
    pub(crate) const MAX_GO_NAME: usize = 34;

    /// The function that a symbol of a Go program names.
    pub(crate) fn from_go(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"crypto/tls.(*Conn).Read" => Self::GoRead,
            b"crypto/tls.(*Conn).Write" => Self::GoWrite,
            // These run once in each connection, unlike those that call them.
            b"crypto/tls.(*Conn).clientHandshake" | b"crypto/tls.(*Conn).serverHandshake" => {
                Self::GoHandshake
            }
            _ => return None,
        })
    }

    /// The function that a symbol names.
    pub fn from_symbol(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"SSL_read" => Self::SslRead,
            b"SSL_write" => Self::SslWrite,
            b"SSL_read_ex" => Self::SslReadEx,
            b"SSL_write_ex" => Self::SslWriteEx,
            b"SSL_do_handshake" | b"SSL_accept" | b"SSL_connect" => Self::SslHandshake,
            b"SSL_set_fd" => Self::SslSetFd,
            b"gnutls_record_recv" => Self::GnutlsRecordRecv,
            b"gnutls_record_send" => Self::GnutlsRecordSend,
            b"gnutls_handshake" => Self::GnutlsHandshake,
            b"gnutls_transport_set_int2" => Self::GnutlsTransportSetInt2,
            _ => return None,
        })
    }

    /// How many arguments a probe reads, all in registers.
    pub fn arguments(self) -> usize {
        match self {
            Self::SslHandshake | Self::GnutlsHandshake => 1,
            Self::SslSetFd => 2,
            Self::SslRead
            | Self::SslWrite
            | Self::GnutlsRecordRecv
            | Self::GnutlsRecordSend
            | Self::GnutlsTransportSetInt2 => 3,
            Self::SslReadEx | Self::SslWriteEx => 4,
            // In other registers.
            Self::GoRead | Self::GoWrite | Self::GoHandshake => 0,
        }
    }

    /// Whether a probe needs what it returns.
    pub fn result_matters(self) -> bool {
        !matches!(self, Self::SslSetFd | Self::GnutlsTransportSetInt2)
    }

    /// Whether it begins a connection.
    pub fn is_handshake(self) -> bool {
        matches!(self, Self::SslHandshake | Self::GnutlsHandshake | Self::GoHandshake)
    }

    pub(crate) fn is_go(self) -> bool {
        matches!(self, Self::GoRead | Self::GoWrite | Self::GoHandshake)
    }

    pub(crate) fn is_gnutls(self) -> bool {
        matches!(
            self,
            Self::GnutlsRecordRecv
                | Self::GnutlsRecordSend
                | Self::GnutlsHandshake
                | Self::GnutlsTransportSetInt2
        )
    }
}

/// One function to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which function.
    pub function: Function,
    /// By which table.
    pub found: Found,
    /// File offset of its first instruction; where a uretprobe goes.
    pub entry: u64,
    /// Where its arguments are in their registers.
    pub arguments: Arguments,
    /// Where its result is.
    pub result: ResultSite,
}

/// The table that named a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What the file exports.
    DynamicSymbol,
    /// What stripping removes.
    SymbolTable,
    /// The table that Go programs keep for themselves.
    GoTable,
}

/// An instruction that runs once in each call, with all argument registers as the caller set
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Its file offset.
    pub offset: u64,
    /// What a probe there costs.
    pub cost: Cost,
}

/// What the kernel does with the instruction under a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It emulates it: well under a microsecond.
    Emulated,
    /// It runs it out of line, with a second trap after it: about ten times as much.
    SingleStep,
}

/// Where the result of a call is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultSite {
    /// Nobody needs it.
    NotNeeded,
    /// At the branch with this file offset, which the kernel emulates: each call that returns
    /// passes it exactly once, and `rax` is the result from there on.
    Branch(u64),
    /// At each of these instructions, which return: a uretprobe would break Go's stacks.
    Returns(Vec<u64>),
    /// Only where the caller goes on.
    Uretprobe(WhyUretprobe),
}

/// Why no branch gives the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUretprobe {
    /// No branch that the kernel emulates is passed by every call after the result is set.
    NoCommonBranch,
    /// It ends in a call of another function through the linkage table.
    TailCall,
    /// It jumps to where only a register tells.
    IndirectJump,
    /// Not everything it may reach is an instruction that is known.
    Undecodable,
    /// More instructions than are looked at.
    TooLong,
    /// No `ret` is reached.
    NeverReturns,
}

/// Why there is nothing to probe in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Opaque {
    /// More bytes, sections, segments or symbols than are looked at.
    TooLarge,
    /// Not an ELF file, or one that contradicts itself.
    Malformed,
    /// Not x86-64.
    UnsupportedMachine,
    /// The functions are in another file that this one loads.
    ImportsOnly,
    /// Go's own TLS, in a program that is not as expected.
    Go,
    /// Java's own TLS.
    Java,
    /// A library that is known and not supported: rustls, NSS, mbed TLS, wolfSSL, s2n.
    UnsupportedLibrary,
    /// Linked statically, and without symbols.
    StaticStripped,
    /// There are symbols, and none of a TLS library.
    NoTlsFunctions,
}

impl Opaque {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::TooLarge,
        Self::Malformed,
        Self::UnsupportedMachine,
        Self::ImportsOnly,
        Self::Go,
        Self::Java,
        Self::UnsupportedLibrary,
        Self::StaticStripped,
        Self::NoTlsFunctions,
    ];

    /// Its name in counters and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::UnsupportedMachine => "unsupported_machine",
            Self::ImportsOnly => "imports_only",
            Self::Go => "go",
            Self::Java => "java",
            Self::UnsupportedLibrary => "unsupported_library",
            Self::StaticStripped => "static_stripped",
            Self::NoTlsFunctions => "no_tls_functions",
        }
    }
}
