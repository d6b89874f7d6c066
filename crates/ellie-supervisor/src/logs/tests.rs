use super::pump::Splitter;
use super::*;

fn unit(name: &str) -> Arc<str> {
    name.into()
}

fn texts(lines: &[Arc<Line>]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn put(logs: &Logs, name: &str, text: &str) -> u64 {
    logs.append(&unit(name), Stream::Out, vec![text.into()], Now::read())[0].id
}

#[test]
fn lines_are_cut_wherever_the_bytes_are() {
    let text = "one\ntwo\r\n\nfour é\nlast";
    for size in 1..text.len() {
        let mut splitter = Splitter::default();
        let mut lines: Vec<String> =
            text.as_bytes().chunks(size).flat_map(|piece| splitter.push(piece)).collect();
        lines.extend(splitter.finish());
        assert_eq!(lines, ["one", "two", "", "four é", "last"], "pieces of {size}");
    }
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let mut splitter = Splitter::default();
    let mut lines = 0;
    for _ in 0..100 {
        for line in splitter.push(&[b'x'; 10_000]) {
            assert_eq!(line.len(), MAX_LINE);
            lines += 1;
        }
    }
    assert_eq!(lines, 1_000_000 / MAX_LINE);
    assert!(splitter.finish().is_some_and(|rest| rest.len() < MAX_LINE));
}

#[test]
fn bytes_that_are_not_text_are_replaced() {
    assert_eq!(Splitter::default().push(b"a\xff\xfeb\rc\n"), ["a\u{fffd}\u{fffd}b\u{240d}c"]);
}

#[test]
fn ids_grow_although_the_clock_stands_still() {
    let logs = Logs::open(Settings::default(), ["a", "b"]);
    let now = Now::read();
    let first = logs.append(&unit("a"), Stream::Out, vec!["1".into(), "2".into()], now);
    let second = logs.append(&unit("b"), Stream::Err, vec!["3".into()], now);
    let ids: Vec<u64> = first.iter().chain(&second).map(|line| line.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(texts(&logs.last(&[unit("b"), unit("a")], 2)), ["2", "3"]);
    assert_eq!(texts(&logs.since(&[unit("a"), unit("b")], ids[0], 10).lines), ["2", "3"]);
}

#[test]
fn a_flood_pushes_out_its_own_lines_only_and_whoever_missed_some_is_told() {
    let settings = Settings { memory: 64 << 10, ..Settings::default() };
    let logs = Logs::open(settings, ["calm", "loud"]);
    let first = put(&logs, "calm", "here");
    put(&logs, "loud", "first");
    for n in 0..10_000 {
        put(&logs, "loud", &format!("line {n}"));
    }
    let all = logs.since(&[unit("loud")], first, usize::MAX);
    assert!(all.missed && all.lines.len() < 1000, "{}", all.lines.len());
    assert_eq!(all.lines.last().map(|line| line.text.as_str()), Some("line 9999"));
    let calm = logs.since(&[unit("calm")], 0, 10);
    assert_eq!((texts(&calm.lines), calm.missed), (vec!["here"], false));
}

#[test]
fn files_are_bounded_and_outlive_the_supervisor() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        directory: Some(directory.path().join("logs")),
        file_size: 20_000,
        memory: 4_000 + MAX_LINE,
    };
    let logs = Logs::open(settings.clone(), ["api"]);
    let mut file = logs.file("api").unwrap();
    let mut last = 0;
    for n in 0..2000 {
        let lines = logs.append(&unit("api"), Stream::Err, vec![format!("line {n}")], Now::read());
        file.append(&lines).unwrap();
        last = lines[0].id;
    }
    let size: u64 = std::fs::read_dir(directory.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!((5_000..=20_000).contains(&size), "{size}");

    let again = Logs::open(settings, ["api"]);
    assert_eq!(again.last_id(), last);
    let lines = again.last(&[unit("api")], 2);
    assert_eq!(texts(&lines), ["line 1998", "line 1999"]);
    assert_eq!(lines[0].stream, Stream::Err);
    assert!(put(&again, "api", "new") > last);
}

#[test]
fn files_that_were_torn_are_read_as_far_as_they_go() {
    let directory = tempfile::tempdir().unwrap();
    let text = "garbage\n2026-01-02T03:04:05.000006Z out kept  with  blanks\n2026-01-02T03:0";
    std::fs::write(directory.path().join("api.log"), text).unwrap();
    let settings = Settings { directory: Some(directory.path().into()), ..Settings::default() };
    let logs = Logs::open(settings, ["api"]);
    assert_eq!(texts(&logs.last(&[unit("api")], 10)), ["kept  with  blanks"]);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_is_read_at_a_bounded_rate_and_to_its_end() {
    let logs = Arc::new(Logs::open(Settings::default(), ["api"]));
    let data = [b"0123456789012345678901234567890\n".repeat(RATE / 32).as_slice(), b"end"].concat();
    let started = tokio::time::Instant::now();
    let mut seen = 0;
    pump(&data[..], logs.clone(), unit("api"), Stream::Out, None, |_| seen += 1).await;
    assert_eq!(seen, RATE / 32 + 1);
    assert_eq!(texts(&logs.last(&[unit("api")], 1)), ["end"]);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(800), "the clock moves only while it waits: {took:?}");
}
