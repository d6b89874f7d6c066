//! Where a body ends: followed through its bytes, so that they can be passed on as they were received.

/// How a message's body is framed (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Exactly this many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Until the sender closes; responses only.
    UntilClose,
}

impl Default for Framing {
    fn default() -> Self {
        Self::Length(0)
    }
}

/// Longest line of a chunk's size with its extensions.
const MAX_CHUNK_LINE: u32 = 256;
/// Most bytes of trailers.
const MAX_TRAILERS: u32 = 8 * 1024;

/// The body is malformed: the connection has to be closed, and what follows is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What [`Body::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// How many bytes of the input belong to this body.
    pub taken: usize,
    /// Whether it ends with them.
    pub done: bool,
}

/// What [`Body::next`] found: `skip` bytes of framing, then `data` bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of framing.
    pub skip: usize,
    /// Bytes of data behind them.
    pub data: usize,
}

/// Follows one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are left.
    Length(u64),
    /// In the chunked coding.
    Chunked(Chunk),
    /// Until the sender closes.
    UntilClose,
}

/// Where in the chunked coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// In a size, after `digits` of it.
    Size {
        /// The size so far.
        size: u64,
        /// How many digits it has.
        digits: u8,
    },
    /// In an extension, `quoted` inside a quoted string; `line` bytes of the line were read.
    Extension {
        /// The chunk's size.
        size: u64,
        /// Bytes of the line so far.
        line: u32,
    },
    /// After the CR of a size line.
    SizeLf {
        /// The chunk's size.
        size: u64,
    },
    /// In data, with so many bytes left.
    Data {
        /// Bytes left.
        left: u64,
    },
    /// After data: its CR.
    DataCr,
    /// After data: its LF.
    DataLf,
    /// In the trailers: so many bytes of the section, so many of the current line.
    Trailer {
        /// Bytes of the section.
        section: u32,
        /// Bytes of the line.
        line: u32,
        /// Whether the line has had its colon.
        colon: bool,
    },
    /// After a CR in the trailers; an empty line ends the body.
    TrailerLf {
        /// Bytes of the section.
        section: u32,
        /// Whether the line is empty.
        last: bool,
    },
    /// After the end.
    Done,
}

impl Body {
    /// Begins to follow a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked(Chunk::Size { size: 0, digits: 0 }),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether nothing more belongs to it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Whether the sender's close ends it rightly; anywhere else a close breaks it off.
    #[must_use]
    pub fn ends_at_close(&self) -> bool {
        self.is_done() || matches!(self, Self::UntilClose)
    }

    /// Takes framing bytes from the beginning of `input` up to the next run of data, and that run. Call it again with
    /// what follows until the input is used up or the body is done; any split of the bytes gives the same data.
    /// Trailer lines are appended to `trailers` as received, the empty line that ends them included.
    ///
    /// # Errors
    /// [`Malformed`] chunked coding.
    pub fn next(&mut self, input: &[u8], trailers: &mut Vec<u8>) -> Result<Step, Malformed> {
        let run = |left: u64, room: usize| usize::try_from(left).map_or(room, |left| left.min(room));
        match self {
            Self::Length(left) => {
                let data = run(*left, input.len());
                *left -= data as u64;
                Ok(Step { skip: 0, data })
            }
            Self::UntilClose => Ok(Step { skip: 0, data: input.len() }),
            Self::Chunked(state) => {
                let mut at = 0;
                while at < input.len() {
                    match *state {
                        Chunk::Done => break,
                        Chunk::Data { left } => {
                            let data = run(left, input.len() - at);
                            let left = left - data as u64;
                            *state = if left == 0 { Chunk::DataCr } else { Chunk::Data { left } };
                            return Ok(Step { skip: at, data });
                        }
                        Chunk::Trailer { .. } | Chunk::TrailerLf { .. } => trailers.push(input[at]),
                        _ => {}
                    }
                    *state = state.step(input[at])?;
                    at += 1;
                }
                Ok(Step { skip: at, data: 0 })
            }
        }
    }

    /// Follows the body through `input`; may be called with any split of the bytes.
    ///
    /// # Errors
    /// [`Malformed`] chunked coding.
    pub fn advance(&mut self, input: &[u8]) -> Result<Advance, Malformed> {
        match self {
            Self::Length(left) => {
                let taken = (*left).min(input.len() as u64) as usize;
                *left -= taken as u64;
                Ok(Advance { taken, done: *left == 0 })
            }
            Self::UntilClose => Ok(Advance { taken: input.len(), done: false }),
            Self::Chunked(state) => {
                let mut at = 0;
                while at < input.len() && *state != Chunk::Done {
                    if let Chunk::Data { left } = state {
                        let n = (*left).min((input.len() - at) as u64) as usize;
                        at += n;
                        *left -= n as u64;
                        if *left == 0 {
                            *state = Chunk::DataCr;
                        }
                        continue;
                    }
                    *state = state.step(input[at])?;
                    at += 1;
                }
                Ok(Advance { taken: at, done: *state == Chunk::Done })
            }
        }
    }
}

impl Chunk {
    fn step(self, b: u8) -> Result<Self, Malformed> {
        Ok(match (self, b) {
            (Self::Size { size, digits }, b) if b.is_ascii_hexdigit() => {
                // Sixteen digits could overflow; fifteen are an exabyte.
                if digits >= 15 {
                    return Err(Malformed);
                }
                let digit = (b as char).to_digit(16).map_or(0, u64::from);
                Self::Size { size: size * 16 + digit, digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed),
            (Self::Size { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Size { size, .. }, b';') => Self::Extension { size, line: 0 },
            // A space or tab before the semicolon is "bad white space": allowed by nobody's need, read in two ways.
            // An extension has a name; `5;` alone has been read in two ways.
            (Self::Extension { line: 0, .. }, b) if !is_token(b) => return Err(Malformed),
            (Self::Extension { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Extension { size, line }, b) => {
                if line >= MAX_CHUNK_LINE || (b < b' ' && b != b'\t') || b == 0x7f {
                    return Err(Malformed);
                }
                Self::Extension { size, line: line + 1 }
            }
            (Self::SizeLf { size: 0 }, b'\n') => Self::Trailer { section: 0, line: 0, colon: false },
            (Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { section, line: 0, .. }, b'\r') => Self::TrailerLf { section, last: true },
            (Self::Trailer { section, colon: true, .. }, b'\r') => Self::TrailerLf { section, last: false },
            (Self::Trailer { section, line, colon }, b) => {
                let allowed = if colon {
                    b >= b' ' && b != 0x7f || b == b'\t'
                } else {
                    is_token(b) || (b == b':' && line > 0)
                };
                if !allowed || section >= MAX_TRAILERS {
                    return Err(Malformed);
                }
                Self::Trailer { section: section + 1, line: line + 1, colon: colon || b == b':' }
            }
            (Self::TrailerLf { last: true, .. }, b'\n') => Self::Done,
            (Self::TrailerLf { section, .. }, b'\n') => Self::Trailer { section, line: 0, colon: false },
            _ => return Err(Malformed),
        })
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
