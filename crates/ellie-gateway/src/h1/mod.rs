//! An HTTP/1.1 engine without I/O and without a clock: bytes in, decisions and bytes out.
//!
//! - `request` and `response` turn a received head into ranges of the receive buffer, nothing copied: `head` finds
//!   its end and its bounds, `facts` is what its fields say together;
//! - [`body`] follows a message's framing through its bytes, [`transfer`] writes them in the receiver's;
//! - [`rewrite`] writes the head that goes to the other side as runs of the received bytes.
//!
//! Strictness follows RFC 9112 where being lenient lets two parsers disagree about where a message ends: such a
//! message is refused, and its connection is closed.

pub mod body;
mod facts;
pub mod field;
mod head;
mod invalid;
mod request;
mod response;
pub mod rewrite;
pub mod transfer;

pub use body::{Body, Framing};
pub use field::Name;
pub use head::{Limits, MAX_FIELDS, Parsed};
pub use invalid::Invalid;
pub use request::Request;
pub use response::Response;
pub use transfer::{Coding, Transfer};
