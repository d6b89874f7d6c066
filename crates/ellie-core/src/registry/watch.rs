//! Waking those who wait: everyone, or only those who watch the service that changed.

use super::Change;
use crate::model::ServiceName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Hub {
    all: watch::Sender<u64>,
    // Touched when a watch begins or ends and once per change; holds only services that are being watched.
    services: Mutex<HashMap<ServiceName, watch::Sender<u64>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { all: watch::channel(0).0, services: Mutex::default() }
    }
}

impl Hub {
    pub(super) fn publish(&self, changes: &[Change]) {
        let Some(last) = changes.last() else { return };
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if !services.is_empty() {
            for change in changes {
                if let Some(sender) = services.get(&change.name) {
                    sender.send_replace(change.index);
                }
            }
        }
        drop(services);
        self.all.send_replace(last.index);
    }

    pub(super) fn watch_all(&self) -> watch::Receiver<u64> {
        self.all.subscribe()
    }

    pub(super) fn watch_service(self: &Arc<Self>, name: &ServiceName) -> ServiceWatch {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = services.entry(name.clone()).or_insert_with(|| watch::channel(0).0);
        ServiceWatch { receiver: sender.subscribe(), hub: self.clone(), name: name.clone() }
    }
}

/// Wakes on changes of one service. Dropping it ends the watch and leaves nothing behind.
#[derive(Debug)]
pub struct ServiceWatch {
    receiver: watch::Receiver<u64>,
    hub: Arc<Hub>,
    name: ServiceName,
}

impl ServiceWatch {
    /// Waits for the next change after the watch began or after the last call; returns its index.
    pub async fn changed(&mut self) -> u64 {
        // The sender lives in the hub as long as this watch does, so the channel can't be closed.
        let _ = self.receiver.changed().await;
        *self.receiver.borrow_and_update()
    }
}

impl Drop for ServiceWatch {
    fn drop(&mut self) {
        let mut services = self.hub.services.lock().unwrap_or_else(PoisonError::into_inner);
        if services.get(&self.name).is_some_and(|s| s.receiver_count() <= 1) {
            services.remove(&self.name);
        }
    }
}
