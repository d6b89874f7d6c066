//! What a request needs while it is under way: lent by the thread, given back when the connection falls idle.

use crate::h1::{Request, Response};
use crate::io::Outgoing;

/// A buffer that grew beyond this is not kept.
const KEEP: usize = 32 * 1024;

/// The buffers of one request. They keep their room, so that a request in the usual size allocates nothing.
#[derive(Default)]
pub(crate) struct Work {
    /// Received from the client and not yet used: a head, its body as far as it came along, pipelined requests.
    pub(crate) received: Vec<u8>,
    /// On its way to the client.
    pub(crate) outgoing: Outgoing,
    pub(crate) request: Request,
    /// On its way to the instance.
    pub(crate) upload: Outgoing,
    pub(crate) response: Response,
    /// Received from the instance: the head of its answer and what came along.
    pub(crate) answer: Vec<u8>,
    /// Room for the normal form of the path.
    pub(crate) path: Vec<u8>,
    /// The request target for the instance.
    pub(crate) target: Vec<u8>,
    pub(crate) request_id: Vec<u8>,
    /// Field lines for the answer: rate limit, explanation.
    pub(crate) extra: Vec<u8>,
}

impl Work {
    /// Empties all buffers, and gives back those that grew.
    pub(crate) fn reset(&mut self) {
        self.outgoing.clear();
        self.upload.clear();
        let buffers = [
            &mut self.received,
            &mut self.answer,
            &mut self.path,
            &mut self.target,
            &mut self.request_id,
            &mut self.extra,
        ];
        for buffer in buffers {
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
            buffer.clear();
        }
    }
}
