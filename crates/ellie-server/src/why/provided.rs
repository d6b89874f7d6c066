//! What providers know of a service, or of a container by its name or id.

use super::finding;
use crate::say::ago;
use ellie_api::provider::{Note, Provider};
use ellie_api::ui::{Finding, Level};

/// The notes that concern `name`, each with its provider.
pub(crate) fn notes<'p>(providers: &'p [Provider], name: &str) -> Vec<(&'p Provider, &'p Note)> {
    let concerns = |note: &Note| {
        let by_id =
            note.id.len() >= 4 && name.starts_with(&note.id) || name.len() >= 4 && note.id.starts_with(name);
        note.service.as_deref() == Some(name) || note.subject == name || by_id
    };
    let all = providers.iter().flat_map(|p| p.notes.iter().map(move |note| (p, note)));
    all.filter(|(_, note)| concerns(note)).collect()
}

/// A note as a sentence.
pub(crate) fn line((provider, note): &(&Provider, &Note)) -> String {
    let id = if note.id == note.subject { String::new() } else { format!(" ({})", note.id) };
    let effect = if note.severity == "warning" { "" } else { " is not registered" };
    format!("{} {}{id}{effect}: {}", provider.name, note.subject, note.message)
}

/// What to say of a service whose instances come from `sources`.
pub(super) fn findings(providers: &[Provider], name: &str, sources: &[&str]) -> Vec<Finding> {
    let mut found: Vec<Finding> = providers
        .iter()
        .filter(|p| sources.contains(&p.name.as_str()))
        .filter_map(|p| Some((p, p.stale.as_ref()?)))
        .map(|(p, stale)| {
            let text = format!(
                "what {} told is stale since {}; it is served on: {}",
                p.name,
                ago(&stale.since),
                stale.reason
            );
            finding(Level::Warning, "provider", text)
        })
        .collect();
    found.extend(notes(providers, name).iter().map(|note| {
        let level = if note.1.severity == "fault" { Level::Problem } else { Level::Warning };
        finding(level, "provider", line(note))
    }));
    found
}
