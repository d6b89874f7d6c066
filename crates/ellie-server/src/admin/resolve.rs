//! What the load balancer picks now, and why.

use super::problem::{Error, Result};
use super::query::Query;
use super::services::view;
use super::state::AdminState;
use super::wire;
use axum::Json;
use axum::extract::{Path, State};
use ellie_api::Resolved;
use ellie_api::problem::kind;
use ellie_api::resolve::Candidate;
use ellie_gateway::explain as balancer;
use http::Uri;

/// `GET /services/{name}/resolve`. Looking changes nothing: no request is counted.
pub(super) async fn resolve(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<Resolved>> {
    let mut query = Query::new(uri.query());
    let tags = query.all("tag");
    let explain = query.flag("explain");
    query.finish()?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let resolved = resolved(&state, &name, &tags, explain)?;
    if resolved.instance.is_none() && !explain {
        let detail = format!("no instance of `{name}` can be sent traffic now; add ?explain=true to see why");
        return Err(Error::new(kind::NO_INSTANCE, detail));
    }
    Ok(Json(resolved))
}

/// What would be picked now; with `explain`, every instance beside it.
pub(super) fn resolved(state: &AdminState, name: &str, tags: &[&str], explain: bool) -> Result<Resolved> {
    let explained = state.ellie().balancer.explain(name, tags).map_err(|_| Error::service_not_found(name))?;
    let picked =
        explained.candidates.iter().find(|c| explained.pick.as_ref() == Some(&c.instance.registration.id));
    let instance = picked.map(|c| view(state).instance(&c.instance));
    let candidates = match explain {
        false => Vec::new(),
        true => explained.candidates.iter().map(|c| candidate(c, explained.pick.as_ref())).collect(),
    };
    Ok(Resolved {
        service: name.to_owned(),
        strategy: explained.strategy.as_str().into(),
        level: wire::level(explained.level).into(),
        instance,
        candidates,
    })
}

fn candidate(c: &balancer::Candidate, pick: Option<&ellie_core::InstanceId>) -> Candidate {
    let r = &c.instance.registration;
    Candidate {
        id: r.id.to_string(),
        address: r.authority(),
        status: wire::status(c.instance.status),
        standing: if c.ejected_for.is_some() { "ejected" } else { c.standing.as_str() }.into(),
        picked: pick == Some(&r.id),
        reason: c.reason.clone(),
        weight: c.instance.weight(),
        score: c.score.as_ref().map(wire::score),
    }
}
