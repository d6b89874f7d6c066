//! A breaker around calls to something outside: it opens when they fail, refuses without calling, and closes again when
//! its probes succeed.
//!
//!     cargo run -p ellie --example circuit_breaker

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use ellie::breaker::{Config, Error, State};
use ellie::{Ellie, breaker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Short, so that the example is: the default waits a minute before it lets a probe through.
    let config = Config { recovery_timeout: Duration::from_millis(200), ..Config::default() };
    let ellie = Ellie::builder().ephemeral().breaker(config).start().await?;

    let broken = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicU32::new(0));
    let seen = (broken.clone(), calls.clone());
    let api = common::serve(move |_| {
        seen.1.fetch_add(1, Relaxed);
        let status = if seen.0.load(Relaxed) { 503 } else { 200 };
        async move { common::answer(status, "") }
    })
    .await?;

    let authority = api.to_string();
    let call = async || {
        let (status, _) = common::get(&authority, "/").await.map_err(|e| e.to_string())?;
        if status < 400 { Ok(status) } else { Err(format!("HTTP {status}")) }
    };

    for _ in 0..20 {
        match ellie.breakers.execute("external-api", call).await {
            Ok(status) => println!("answered with {status}"),
            Err(Error::Rejected(_)) => {}
            Err(other) => println!("{other}"),
        }
    }
    println!("20 calls were asked for, {} were made; {}", calls.load(Relaxed), told(&ellie.breakers));

    broken.store(false, Relaxed);
    // A caller of a real service goes on with its work and asks again when it needs the answer.
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while ellie.breakers.state("external-api") != State::Closed {
        pause.tick().await;
        if let Ok(status) = ellie.breakers.execute("external-api", call).await {
            println!("a probe was answered with {status}");
        }
    }
    println!("the service works again; {}", told(&ellie.breakers));

    ellie.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

fn told(breakers: &breaker::CircuitBreakerManager) -> String {
    format!("the breaker is {:?}", breakers.state("external-api"))
}
