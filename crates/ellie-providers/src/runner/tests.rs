use super::*;
use crate::Refusal;
use ellie_core::model::{Draft, Offer};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use tokio::sync::watch;

/// What was told to it, as words.
struct Told(watch::Sender<Vec<String>>);

impl Target for Told {
    fn replace(&self, _: Source, set: Vec<Offer>) -> BoxFuture<'_, Result<Vec<Refusal>, Failure>> {
        let ids: Vec<String> = set.iter().map(|o| o.registration.id.to_string()).collect();
        self.0.send_modify(|told| told.push(format!("set {}", ids.join(","))));
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn stale(&self, _: &Source, reason: &str) {
        self.0.send_modify(|told| told.push(format!("stale {reason}")));
    }
}

enum Act {
    Tell(&'static str),
    Fail(&'static str),
    Panic,
    Stay,
}

/// Acts in turn, one run from one end to the next; stays when there is no more to do.
struct Script(Mutex<VecDeque<Act>>);

impl Provider for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn run<'a>(&'a self, sink: &'a Sink, stop: CancellationToken) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            loop {
                let act = self.0.lock().unwrap().pop_front();
                match act {
                    Some(Act::Tell(id)) => sink.replace(set(id)).await?,
                    Some(Act::Fail(why)) => return Err(Failure(why.into())),
                    Some(Act::Panic) => panic!("as asked"),
                    Some(Act::Stay) | None => {
                        stop.cancelled().await;
                        return Ok(());
                    }
                }
            }
        })
    }
}

fn set(id: &str) -> Set {
    let draft = Draft {
        name: Some("api".into()),
        id: Some(id.into()),
        host: Some("10.0.0.1".into()),
        port: Some(80),
        ..Draft::default()
    };
    let mut set = Set::default();
    set.offer(draft.validate().unwrap().into()).unwrap();
    set
}

/// Runs the acts until `count` words were told; the words, and how the provider fares then.
async fn play(acts: Vec<Act>, settings: Settings, count: usize) -> (Vec<String>, Report) {
    let (told, mut words) = watch::channel(Vec::new());
    let (handle, stop) = (Handle::default(), CancellationToken::new());
    let running = tokio::spawn(supervise(
        Arc::new(Script(Mutex::new(acts.into()))),
        Arc::new(Told(told)),
        settings,
        handle.clone(),
        stop.clone(),
    ));
    let words = words.wait_for(|told| told.len() >= count).await.unwrap().clone();
    tokio::task::yield_now().await;
    let report = handle.report();
    stop.cancel();
    running.await.unwrap();
    (words, report)
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_ends_or_panics_is_started_again_and_its_set_held() {
    let acts = vec![Act::Tell("a"), Act::Fail("lost"), Act::Fail("refused"), Act::Panic, Act::Tell("b")];
    let (words, report) = play(acts, Settings::default(), 5).await;
    assert_eq!(words[..3], ["set a", "stale lost", "stale refused"]);
    assert!(words[3].contains("panicked"), "{words:?}");
    assert_eq!(words[4], "set b");
    assert_eq!((report.up, report.failures, report.stale, report.instances), (true, 3, None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_stale_for_too_long_is_dropped_once() {
    let settings = Settings { max_stale: Some(Duration::from_secs(60)), ..Settings::default() };
    let mut acts = vec![Act::Tell("a")];
    acts.extend((0..40).map(|_| Act::Fail("gone")));
    acts.extend([Act::Tell("b"), Act::Stay]);
    let (told, mut words) = watch::channel(Vec::new());
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let running = tokio::spawn(supervise(
        Arc::new(Script(Mutex::new(acts.into()))),
        Arc::new(Told(told)),
        settings,
        Handle::default(),
        stop.clone(),
    ));
    words.wait_for(|told| told.iter().any(|word| word == "set ")).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 60, "on the paused clock");
    let words = words.wait_for(|told| told.last().is_some_and(|word| word == "set b")).await.unwrap().clone();
    assert_eq!(words.iter().filter(|word| *word == "set ").count(), 1, "{words:?}");
    assert!(words.iter().any(|word| word.contains("dropped after 60s")), "{words:?}");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_hangs_does_not_keep_a_stale_set_alive() {
    let settings = Settings { max_stale: Some(Duration::from_secs(60)), ..Settings::default() };
    let (words, report) = play(vec![Act::Tell("a"), Act::Fail("lost"), Act::Stay], settings, 4).await;
    assert_eq!(words[2], "set ");
    assert!(words[3].contains("dropped") && !report.up, "{words:?}");
}
