//! Any history of commands leaves the registry equal to a naive model of it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ellie_core::Registry;
use ellie_core::model::{Draft, Status};
use ellie_core::registry::Settings;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u8),
    Deregister(u8, u8),
    Observe(u8, u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u8, 0..5u8).prop_map(|(s, i)| Step::Register(s, i)),
        (0..4u8, 0..5u8).prop_map(|(s, i)| Step::Deregister(s, i)),
        (0..4u8, 0..5u8, any::<bool>()).prop_map(|(s, i, up)| Step::Observe(s, i, up)),
    ]
}

type Model = BTreeMap<(String, String), Status>;

fn check(registry: &Registry, model: &Model) {
    let snapshot = registry.snapshot();
    let actual: Model = snapshot
        .instances()
        .map(|i| ((i.registration.name.to_string(), i.registration.id.to_string()), i.status))
        .collect();
    assert_eq!(actual, *model);
    let healthy = model.values().filter(|s| **s == Status::Healthy).count();
    assert_eq!((snapshot.counts.healthy, snapshot.counts.total()), (healthy, model.len()));
    for service in snapshot.services.values() {
        assert!(!service.instances.is_empty());
        assert_eq!(service.counts.total(), service.instances.len());
        let newest = service.instances.values().map(|i| i.modified_index).max().unwrap();
        assert!(newest <= service.index && service.index <= snapshot.index);
    }
}

proptest! {
    #[test]
    fn equal_to_a_naive_model(steps in prop::collection::vec(step(), 0..120)) {
        let clock = Clock::new();
        let registry = registry(Settings::default());
        let mut model = Model::new();
        // Those whose reason is still `awaiting first check`: the first result changes it, whatever it is.
        let mut unprobed = std::collections::BTreeSet::new();
        for step in steps {
            let index = registry.snapshot().index;
            let changed = match step {
                Step::Register(s, i) => {
                    let (s, i) = (format!("s{s}"), format!("i{i}"));
                    let d = Draft { health_endpoint: Some("/h".into()), ..draft(&s, &i) };
                    registry.apply(register(d), clock.0).unwrap();
                    model.entry((s.clone(), i.clone())).or_insert_with(|| {
                        unprobed.insert((s, i));
                        Status::Unhealthy
                    });
                    true
                }
                Step::Deregister(s, i) => {
                    let (s, i) = (format!("s{s}"), format!("i{i}"));
                    let was = model.remove(&(s.clone(), i.clone())).is_some();
                    unprobed.remove(&(s.clone(), i.clone()));
                    prop_assert_eq!(registry.apply(deregister(&s, &i), clock.0).is_ok(), was);
                    was
                }
                Step::Observe(s, i, up) => {
                    let (s, i) = (format!("s{s}"), format!("i{i}"));
                    let status = if up { Status::Healthy } else { Status::Unhealthy };
                    let result = registry.apply(observe(&registry, &s, &i, status), clock.0);
                    let key = (s, i);
                    match model.get_mut(&key) {
                        Some(known) => unprobed.remove(&key) | (std::mem::replace(known, status) != status),
                        None => {
                            prop_assert!(result.is_err());
                            false
                        }
                    }
                }
            };
            prop_assert_eq!(registry.snapshot().index, index + u64::from(changed));
            check(&registry, &model);
        }
    }
}
