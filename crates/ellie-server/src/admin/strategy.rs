//! The load balancing strategy, switched while running.

use super::body;
use super::fields::{Faults, Fields};
use super::guard::Caller;
use super::json::Value;
use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use axum::extract::{Request, State};
use axum::{Extension, Json};
use ellie::LoadBalancingStrategy;
use ellie_api::problem::kind;
use ellie_api::stats::Strategies;
use ellie_core::ServiceName;
use ellie_core::model::excerpt;
use http::Uri;

const NAMES: &str = "round_robin, least_connections, weighted_round_robin, random, health_based";

fn now(state: &AdminState) -> Json<Strategies> {
    let all = state.ellie().balancer.strategies();
    Json(Strategies {
        strategy: all.global.as_str().into(),
        services: all.services.iter().map(|(name, s)| (name.clone(), s.as_str().into())).collect(),
    })
}

/// `GET /load-balancer/strategy`
pub(super) async fn get(State(state): State<AdminState>, uri: Uri) -> Result<Json<Strategies>> {
    Query::new(uri.query()).finish()?;
    Ok(now(&state))
}

/// `PUT /load-balancer/strategy`
pub(super) async fn set(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Strategies>> {
    Query::new(request.uri().query()).finish()?;
    let value = body::json(&state, request, false).await?;
    let mut faults = Faults::default();
    let mut strategy: Option<Option<LoadBalancingStrategy>> = None;
    let mut service = None;
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        let given = f.given("strategy");
        service = f.string("service");
        match given {
            Some(Value::String(name)) => match name.parse() {
                Ok(parsed) => strategy = Some(Some(parsed)),
                Err(_) => f.fault("strategy", format!("`{}` is not one of {NAMES}", excerpt(&name))),
            },
            Some(Value::Null) if service.is_some() => strategy = Some(None),
            Some(Value::Null) | None => f.fault("strategy", format!("is required: one of {NAMES}")),
            Some(other) => f.fault("strategy", format!("must be a string, is {}", other.kind())),
        }
        if let Some(name) = &service
            && let Err(fault) = ServiceName::new(name)
        {
            f.fault("service", fault.message);
        }
        f.finish();
    }
    let (Some(strategy), true) = (strategy, faults.is_empty()) else {
        return Err(Error::invalid(kind::INVALID_REQUEST, faults));
    };
    let balancer = state.ellie().balancer.acting_as(caller.actor());
    let done = match (strategy, &service) {
        (Some(strategy), service) => balancer.set_strategy(strategy, service.as_deref()),
        (None, Some(service)) => {
            balancer.clear_strategy(service);
            Ok(())
        }
        (None, None) => Ok(()),
    };
    done.map_err(|fault| {
        Error::new(kind::INVALID_REQUEST, "the service can't be named so")
            .with_field("service", fault.message)
    })?;
    Ok(now(&state))
}
