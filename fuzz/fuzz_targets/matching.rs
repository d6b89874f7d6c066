//! Any bytes as a route's path, a request's path and a query: no panic; what is normal stays as it is and has no dots
//! that climb; a route matches its own path.
#![no_main]

use ellie_gateway::matcher::normalise;
use ellie_gateway::route::Draft;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |b| *b == b'\n');
    let (pattern, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let query = lines.next();
    let (mut scratch, mut again) = (Vec::new(), Vec::new());
    let normal = normalise(path, &mut scratch);
    let climbs = normal.split(|b| *b == b'/').any(|segment| segment == b"." || segment == b"..");
    assert!(!climbs || !path.starts_with(b"/"), "{} became {}", path.escape_ascii(), normal.escape_ascii());
    assert_eq!(normalise(normal, &mut again), normal);
    let draft = Draft {
        path: Some(String::from_utf8_lossy(pattern).into_owned()),
        service_name: Some("s".into()),
        target_path: Some("/t".into()),
        ..Draft::default()
    };
    let Ok(route) = draft.validate() else { return };
    let own = route.path.fixed().as_bytes();
    let mut out = Vec::new();
    route.write_target(if own.is_empty() { b"/" } else { own }, query, &mut out);
    assert!(out.starts_with(b"/t"), "{}", out.escape_ascii());
});
