//! Following one service.

use ellie_core::ServiceName;
use ellie_core::registry::{Registry, Service, ServiceWatch};
use futures_util::Stream;
use std::sync::Arc;

/// A service as it is now.
#[derive(Clone, Debug)]
pub struct Update {
    /// The index of its last change.
    pub index: u64,
    /// The service; `None` while it has no instance.
    pub service: Option<Arc<Service>>,
}

/// Follows one service, whether it exists yet or not. Changes that come faster than they are asked for are seen as one.
#[derive(Debug)]
pub struct Watch {
    registry: Arc<Registry>,
    name: ServiceName,
    changes: ServiceWatch,
    seen: Option<u64>,
}

impl Watch {
    pub(crate) fn new(registry: Arc<Registry>, name: ServiceName) -> Self {
        // The watch begins before the first look, so nothing can happen between the two unseen.
        let changes = registry.watch_service(&name);
        Self { registry, name, changes, seen: None }
    }

    /// The service as it is at first, then as it is after each change.
    pub async fn next(&mut self) -> Update {
        loop {
            let service = self.registry.snapshot().service(self.name.as_str()).cloned();
            let index = service.as_ref().map_or_else(|| self.registry.service_index(&self.name), |s| s.index);
            if self.seen != Some(index) {
                self.seen = Some(index);
                return Update { index, service };
            }
            self.changes.changed().await;
        }
    }

    /// The same as an endless stream.
    pub fn into_stream(self) -> impl Stream<Item = Update> + Send {
        futures_util::stream::unfold(self, |mut watch| async move { Some((watch.next().await, watch)) })
    }
}
