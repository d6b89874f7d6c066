//! The file: what is kept, who may open it, and what a damaged one says.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ellie_store::{Embedded, Error, FILE_NAME, FORMAT, Store, Write};
use redb::{Database, TableDefinition};
use std::fs;
use std::path::Path;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const INSTANCES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("instances");

fn filled(directory: &Path, records: usize) -> Embedded {
    let mut store = Embedded::open(directory).unwrap();
    let writes: Vec<Write> = (0..records).map(|n| Write::Put(record("api", &format!("{n:04}")))).collect();
    store.commit(&writes).unwrap();
    store
}

#[test]
fn what_was_committed_is_loaded_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/by/it");
    let mut store = Embedded::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), []);
    let (one, two) = (record("b", "1"), record("a", "2"));
    store.commit(&[Write::Put(one.clone()), Write::Put(two.clone()), Write::Put(record("a", "9"))]).unwrap();
    let (name, id) = key("a", "9");
    store.commit(&[Write::Remove(name.clone(), id.clone()), Write::Remove(name, id)]).unwrap();
    assert_eq!(store.stats().records, 2);
    drop(store);
    let mut store = Embedded::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), [two, one]);
    let stats = store.stats();
    assert_eq!(stats.records, 2);
    assert!(stats.bytes.unwrap() > 0);
    assert_eq!(stats.location.unwrap(), path.join(FILE_NAME));
}

#[test]
fn one_process_per_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    let Error::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    let message = error.to_string();
    assert!(
        message.contains(&directory.path().display().to_string()) && message.contains("--data-dir"),
        "{message}"
    );
    drop(store);
    Embedded::open(directory.path()).unwrap();
}

#[test]
fn a_damaged_file_is_refused_by_name_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), 500));
    let file = directory.path().join(FILE_NAME);
    let good = fs::read(&file).unwrap();
    let cut = |len: usize| good[..len].to_vec();
    let mut flipped = good.clone();
    // Every page of data: whatever the tree's shape is, it is hit.
    for at in (8192..flipped.len()).step_by(512) {
        flipped[at] ^= 0xff;
    }
    let damaged = [
        ("empty", Vec::new()),
        ("cut in the header", cut(100)),
        ("cut in half", cut(good.len() / 2)),
        ("not a store", b"[storage]\n".repeat(1000)),
        ("zeros", vec![0; good.len()]),
        ("flipped", flipped),
    ];
    for (what, bytes) in damaged {
        fs::write(&file, &bytes).unwrap();
        let error = Embedded::open(directory.path()).and_then(|mut s| s.load()).expect_err(what);
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(FILE_NAME) && message.contains("backup"), "{what}: {message}");
        fs::write(&file, &good).unwrap();
    }
    assert_eq!(Embedded::open(directory.path()).unwrap().load().unwrap().len(), 500);
}

#[test]
fn a_half_made_file_under_its_working_name_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("registry.redb.new"), b"half").unwrap();
    assert_eq!(Embedded::open(directory.path()).unwrap().load().unwrap(), []);
    assert!(!directory.path().join("registry.redb.new").exists());
}

#[test]
fn a_newer_file_and_a_newer_record_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), 1));
    let file = directory.path().join(FILE_NAME);
    let edit = |format: u64, row: &[u8]| {
        let db = Database::open(&file).unwrap();
        let tx = db.begin_write().unwrap();
        tx.open_table(META).unwrap().insert("format", format).unwrap();
        tx.open_table(INSTANCES).unwrap().insert(("api", "x"), row).unwrap();
        tx.commit().unwrap();
    };
    edit(FORMAT + 1, b"{}");
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Newer { found, known, .. } if (found, known) == (FORMAT + 1, FORMAT)));
    assert!(error.to_string().contains(FILE_NAME) && error.to_string().contains("newer"), "{error}");
    edit(FORMAT, br#"{"v":9}"#);
    let error = Embedded::open(directory.path()).unwrap().load().unwrap_err();
    assert!(matches!(error, Error::Newer { found: 9, .. }), "{error}");
    edit(FORMAT, br#"{"v":1,"source":"api"}"#);
    let error = Embedded::open(directory.path()).unwrap().load().unwrap_err();
    assert!(matches!(&error, Error::Corrupt { detail, .. } if detail.contains("`x`")), "{error}");
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"").unwrap();
    let error = Embedded::open(directory.path().join("file/below")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/below"), "{error}");
}
