//! From a client's bytes to an instance and back.
//!
//! [`client`] reads heads, [`request`] carries one through: [`plan`] decides from its head where it goes, [`tries`] on
//! which instances it is tried, [`send`] is one try up to the head of the answer, [`respond`] passes the answer on,
//! [`relay`] its body, [`tunnel`] what follows a switch of protocols. [`failure`] is what a client is told instead,
//! [`reply`] writes it; [`gone`] tells whether the client still waits. Nothing here allocates per request: buffers are lent by the thread ([`work`]).

mod client;
mod failure;
mod gone;
mod plan;
mod relay;
mod reply;
mod request;
mod respond;
mod send;
mod tries;
mod tunnel;
mod work;

pub(crate) use client::serve;
pub(crate) use work::Work;
