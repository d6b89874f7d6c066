//! One file in a data directory: the default store.
//!
//! redb keeps a copy-on-write B-tree: a commit writes the changed pages, then flips the root with a checksummed header,
//! and returns after fsync. A crash at any instant leaves the tree before or the tree after. The file is created under
//! another name and renamed, so that there is no instant at which a half-made file has the real one's name.

use crate::lock::DirectoryLock;
use crate::record::{self, Refused};
use crate::{Error, Stats, Store, Write};
use ellie_core::model::Record;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "registry.redb";

/// The newest layout of the file that is understood.
pub const FORMAT: u64 = 1;

/// Pages held in memory. The registry itself is in memory, so the file is read once, at the start.
const CACHE_BYTES: usize = 8 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const INSTANCES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("instances");
const FORMAT_KEY: &str = "format";

/// Keeps records in `registry.redb` of a data directory, which it holds alone.
#[derive(Debug)]
pub struct Embedded {
    file: PathBuf,
    /// Absent after a failed commit: the next one opens the file anew, which rolls back what was half done.
    database: Option<Database>,
    records: u64,
    // Dropped last: the directory is free once the file is closed.
    _lock: DirectoryLock,
}

impl Embedded {
    /// Opens the store of `directory`, which is created where it doesn't exist. The whole file is checked.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Newer`], [`Error::Corrupt`] and [`Error::Io`]; nothing has been changed then.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        create_directory(directory)?;
        let lock = DirectoryLock::acquire(directory)?;
        let file = directory.join(FILE_NAME);
        if !file.try_exists().map_err(|e| Error::io(&file, "open", e))? {
            create(directory, &file)?;
        }
        let database = open(&file, true)?;
        let mut store = Self { file, database: Some(database), records: 0, _lock: lock };
        store.records = store.guarded("read", |db, file| {
            let fail = |e: redb::Error| failure(file, "read", e);
            let read = db.begin_read().map_err(|e| fail(e.into()))?;
            let meta = read.open_table(META).map_err(|e| fail(e.into()))?;
            let found = meta.get(FORMAT_KEY).map_err(|e| fail(e.into()))?.map_or(0, |v| v.value());
            if found > FORMAT {
                return Err(Error::Newer { file: file.into(), found, known: FORMAT });
            }
            let table = read.open_table(INSTANCES).map_err(|e| fail(e.into()))?;
            table.len().map_err(|e| fail(e.into()))
        })?;
        Ok(store)
    }

    /// Runs `work` on the open database; a panic of the storage engine on a damaged file is an error like any other.
    fn guarded<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Database, &Path) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.file, false)?,
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(&database, &self.file)));
        match result {
            Ok(Ok(value)) => {
                self.database = Some(database);
                Ok(value)
            }
            Ok(Err(e)) => Err(e),
            Err(_) => Err(Error::Corrupt {
                file: self.file.clone(),
                detail: format!("the storage engine gave up while trying to {doing} it"),
            }),
        }
    }
}

impl Store for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn load(&mut self) -> Result<Vec<Record>, Error> {
        self.guarded("read", |db, file| {
            let fail = |e: redb::Error| failure(file, "read", e);
            let read = db.begin_read().map_err(|e| fail(e.into()))?;
            let table = read.open_table(INSTANCES).map_err(|e| fail(e.into()))?;
            let mut records = Vec::new();
            for row in table.iter().map_err(|e| fail(e.into()))? {
                let (key, value) = row.map_err(|e| fail(e.into()))?;
                let (name, id) = key.value();
                records.push(record::decode(value.value()).map_err(|refused| match refused {
                    Refused::Newer { found, known } => {
                        Error::Newer { file: file.into(), found: found.into(), known: known.into() }
                    }
                    Refused::Wrong(why) => Error::Corrupt {
                        file: file.into(),
                        detail: format!("instance `{id}` of service `{name}` can't be read: {why}"),
                    },
                })?);
            }
            Ok(records)
        })
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        self.records = self.guarded("commit to", |db, file| {
            let fail = |e: redb::Error| failure(file, "commit to", e);
            // Durability::Immediate is the default: `commit` returns after fsync.
            let transaction = db.begin_write().map_err(|e| fail(e.into()))?;
            let mut table = transaction.open_table(INSTANCES).map_err(|e| fail(e.into()))?;
            for write in writes {
                match write {
                    Write::Put(record) => {
                        let r = &record.registration;
                        let bytes = record::encode(record)
                            .map_err(|e| Error::Failed { store: "embedded", detail: e.to_string() })?;
                        table
                            .insert((r.name.as_str(), r.id.as_str()), bytes.as_slice())
                            .map_err(|e| fail(e.into()))?;
                    }
                    Write::Remove(name, id) => {
                        table.remove((name.as_str(), id.as_str())).map_err(|e| fail(e.into()))?;
                    }
                }
            }
            let records = table.len().map_err(|e| fail(e.into()))?;
            drop(table);
            transaction.commit().map_err(|e| fail(e.into()))?;
            Ok(records)
        })?;
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            records: self.records,
            bytes: fs::metadata(&self.file).ok().map(|m| m.len()),
            location: Some(self.file.clone()),
        }
    }
}

/// Opens an existing file; `check` verifies every page's checksum.
fn open(file: &Path, check: bool) -> Result<Database, Error> {
    let opened = catch_unwind(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check);
        builder.open(file)
    });
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(e)) => Err(failure(file, "open", e.into())),
        Err(_) => Err(Error::Corrupt {
            file: file.into(),
            detail: "the storage engine gave up while trying to open it".into(),
        }),
    }
}

/// Makes a new file with nothing in it, complete before it has its name.
fn create(directory: &Path, file: &Path) -> Result<(), Error> {
    let new = file.with_extension("redb.new");
    match fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(new, "remove", e)),
        _ => {}
    }
    let fail = |e: redb::Error| failure(&new, "create", e);
    let database = Database::create(&new).map_err(|e| fail(e.into()))?;
    let transaction = database.begin_write().map_err(|e| fail(e.into()))?;
    transaction
        .open_table(META)
        .map_err(|e| fail(e.into()))?
        .insert(FORMAT_KEY, FORMAT)
        .map_err(|e| fail(e.into()))?;
    transaction.open_table(INSTANCES).map_err(|e| fail(e.into()))?;
    transaction.commit().map_err(|e| fail(e.into()))?;
    drop(database);
    fs::rename(&new, file).map_err(|e| Error::io(file, "create", e))?;
    sync_directory(directory)
}

fn create_directory(directory: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        // What is registered and who may register it is nobody else's business.
        builder.mode(0o700);
    }
    builder.create(directory).map_err(|e| Error::io(directory, "create the data directory", e))
}

/// A new name lasts once its directory is on the disk.
fn sync_directory(directory: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    File::open(directory).and_then(|d| d.sync_all()).map_err(|e| Error::io(directory, "sync", e))?;
    Ok(())
}

/// What the engine's error means to whoever has to mend it.
fn failure(file: &Path, doing: &'static str, e: redb::Error) -> Error {
    let corrupt = |detail: String| Error::Corrupt { file: file.into(), detail };
    match e {
        redb::Error::Io(e) if is_damage(&e) => corrupt(e.to_string()),
        redb::Error::Io(e) => Error::io(file, doing, e),
        redb::Error::UpgradeRequired(version) => {
            corrupt(format!("its storage engine's format {version} is no longer supported"))
        }
        redb::Error::DatabaseAlreadyOpen => {
            Error::Locked { directory: file.parent().unwrap_or(file).into(), holder: None }
        }
        e @ (redb::Error::Corrupted(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)) => corrupt(e.to_string()),
        e => Error::Failed { store: "embedded", detail: format!("{doing} `{}`: {e}", file.display()) },
    }
}

/// A file that ends too early or doesn't begin as it must says so through an I/O error.
fn is_damage(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}
