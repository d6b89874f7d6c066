//! From a client's bytes to an instance and back.
//!
//! [`client`] reads heads, [`exchange`] decides where a request goes and tries, [`send`] is one try up to the head of
//! the answer, [`relay`] the bodies, [`tunnel`] what follows a switch of protocols, [`reply`] what the gateway answers
//! itself. Nothing here allocates per request: buffers are lent by the thread ([`work`]).

mod client;
mod exchange;
mod relay;
mod reply;
mod send;
mod tunnel;
mod work;

pub(crate) use client::serve;
pub(crate) use work::Work;
