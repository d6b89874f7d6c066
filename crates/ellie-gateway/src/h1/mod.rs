//! An HTTP/1.1 engine without I/O and without a clock: bytes in, decisions and bytes out.
//!
//! - [`parse`] turns a received head into a [`Request`] or [`Response`]: ranges into the receive buffer, nothing copied;
//! - [`body`] follows a message's framing through its bytes, [`transfer`] writes them in the receiver's;
//! - [`rewrite`] writes the head that goes to the other side as runs of the received bytes.
//!
//! Strictness follows RFC 9112 where being lenient lets two parsers disagree about where a message ends: such a
//! message is refused, and its connection is closed.

pub mod body;
pub mod field;
pub mod parse;
pub mod rewrite;
pub mod transfer;

pub use body::{Body, Framing};
pub use field::Name;
pub use parse::{Invalid, Limits, Parsed, Request, Response};
pub use transfer::{Coding, Transfer};
